"""The model is hardly better than a constant answer, or than the last known value.

What it measures: skill on the validation data, (metric - chance) / (perfect - chance), after all proven faults
    were repaired, with a bootstrap interval (over blocks where rows of one time depend on each other); the control
    learner's skill stands beside it. For a regression in time, also 1 - squared error / squared error of the naive
    forecast, which repeats the last known value or that of a season ago; and whether the answers lean on the last
    known value more than on the truth. The last known value is the newest label that a feature holds.
Why it matters: a model without skill should not be tuned but questioned: data, target and features first. A
    forecast that repeats the last value scores well wherever the next value is near it, and foresees nothing.
When it is inconclusive: fewer than 20 validation rows, or an interval of the skill that reaches above the limit.
    Where no feature holds an earlier label, the naive forecast may not be known in time: it is then observed alone.
How to fix: see what the control learner finds. Where it does better, the model is to blame; where it does not,
    the features are. Predict the change since the last known value rather than the value.
Reference: Murphy, 1988, https://doi.org/10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2; Hyndman & Koehler, 2006,
    https://doi.org/10.1016/j.ijforecast.2006.03.001
"""

from dataclasses import replace
from typing import cast

from audits.evidence.case import Case
from audits.evidence.time.naive import NaiveComparison, naive_comparison
from audits.evidence.time.series import dependent_blocks
from audits.results import CheckResult
from schemas.limits.metrics import WeakModel
from schemas.report import Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.weak_model"
MIN_ROWS = 20


def weak_model(case: Case) -> CheckResult:
    """Compare the skill with the least that a model should have, and a forecast with a naive one."""
    limits = cast(WeakModel, case.limits[CODE])
    if len(case.mended) < MIN_ROWS:
        return CheckResult.inconclusive(f"{len(case.mended)} of {MIN_ROWS} validation rows")
    result = _over_chance(case, limits)
    naive = naive_comparison(case)
    if naive is None or result.outcome is Outcome.FAIL:
        return result
    if naive.is_fault(limits.min_forecast_skill):
        return CheckResult(Outcome.FAIL, finding=_no_forecast(naive, limits, Severity.WARNING))
    if not naive.known_in_time and naive.interval[1] < 0:
        return replace(result, finding=_no_forecast(naive, limits, Severity.INFO), ranks=False)
    return replace(result, reason=result.reason or naive.describe())


def _over_chance(case: Case, limits: WeakModel) -> CheckResult:
    score, interval = _score(case)
    skill = case.scorer.skill(score)
    low, high = (case.scorer.skill(end) for end in interval)
    if skill >= limits.min_skill:
        return CheckResult.passed(smallest=limits.min_skill + (high - low) / 2)
    if high >= limits.min_skill:
        return CheckResult.inconclusive(f"skill {low:.2f} to {high:.2f} at n = {len(case.mended)}", smallest=high)
    control = case.control.scores.get("train->validation")
    beside = "" if control is None else f" A control learner on the same data reaches {control:.2f}."
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=Severity.WARNING,
        title="The model is hardly better than a constant answer",
        summary=f"Validation {case.scorer.title} is {score:.2f}; a constant answer gives "
        f"{case.scorer.chance:.2f}.{beside}",
        effect=Effect(name="skill", estimate=skill, interval=(low, high), limit=limits.min_skill),
        n=len(case.mended),
        evidence={"control_learner": control, "chance": case.scorer.chance},
        remedy=Remedy(
            text="Compare with a simple learner on the same features before tuning the network: if that has no skill "
            "either, look for other features or a mistake in the target; if it has, look at the network's inputs.",
            code=_code(case),
        ),
    )
    return CheckResult(Outcome.FAIL, finding=finding)


def _no_forecast(naive: NaiveComparison, limits: WeakModel, severity: Severity) -> Finding:
    """Of a forecast that is no better than the naive one."""
    low, high = naive.interval
    told = f"Against {naive.what} the forecast has a skill of {naive.skill:.2f} [{low:.2f}, {high:.2f}]"
    copied = "; its answers follow that value more closely than the truth" if naive.copies else ""
    doubt = "" if naive.known_in_time else " No feature holds an earlier label, so that value may not be known in time."
    return Finding(
        code=CODE,
        family="metrics",
        severity=severity,
        title="The forecast is worse than a naive one" if high < 0 else "The forecast repeats the last known value",
        summary=f"{told}{copied}.{doubt}",
        effect=Effect(
            name="skill_over_naive_forecast",
            estimate=naive.skill,
            interval=naive.interval,
            limit=limits.min_forecast_skill,
        ),
        n=naive.n,
        evidence=naive.evidence(),
        remedy=Remedy(
            text="Predict the change since the last known value instead of the value, judge it by the skill over the "
            "naive forecast, and add features that know more than the past of the target.",
            code=(
                "import numpy as np\n\n"
                f"def naive_forecast(y, lag: int = {naive.series.lag}):\n"
                "    return np.concatenate([np.full(lag, np.nan), np.asarray(y, dtype=float)[:-lag]])\n\n"
                "def change(y):\n"
                "    return np.asarray(y, dtype=float) - naive_forecast(y)\n\n"
                "def skill(y, predicted):\n"
                "    y, naive = np.asarray(y, dtype=float), naive_forecast(y)\n"
                "    known = np.isfinite(naive)\n"
                "    error = np.square(np.asarray(predicted) - y)[known].mean()\n"
                "    return 1 - error / np.square(naive - y)[known].mean()\n"
            ),
        ),
    )


def _score(case: Case) -> tuple[float, tuple[float, float]]:
    """The metric with its interval, over blocks of dependent rows where there are any."""
    blocks = dependent_blocks(case, case.mended)
    if blocks is None:
        return case.mended_score
    answers = case.scorer.answers(case.mended.predictions)
    interval = case.scorer.interval(case.mended.labels, answers, case.rng("score over blocks"), blocks)
    return case.score(case.mended), interval


def _code(case: Case) -> str:
    kind = "Regressor" if case.is_regression else "Classifier"
    scoring = "r2" if case.is_regression else "balanced_accuracy"
    return (
        f"from sklearn.ensemble import HistGradientBoosting{kind}\n"
        "from sklearn.model_selection import cross_val_score\n\n"
        "def simple_learner(x, y):\n"
        f"    return cross_val_score(HistGradientBoosting{kind}(random_state=0), x, y, cv=5, "
        f"scoring={scoring!r}).mean()\n"
    )
