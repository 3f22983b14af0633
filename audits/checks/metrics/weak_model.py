"""The model is hardly better than a constant answer.

What it measures: skill on the validation data, (metric - chance) / (perfect - chance), after all proven faults
    were repaired, with a bootstrap interval; the control learner's skill stands beside it.
Why it matters: a model without skill should not be tuned but questioned: data, target and features first.
When it is inconclusive: fewer than 20 validation rows, or an interval of the skill that reaches above the limit.
How to fix: see what the control learner finds. Where it does better, the model is to blame; where it does not,
    the features are.
Reference: Murphy, 1988, https://doi.org/10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2
"""

from typing import cast

from audits.evidence.case import Case
from audits.results import CheckResult
from schemas.limits.metrics import WeakModel
from schemas.report import Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.weak_model"
MIN_ROWS = 20


def weak_model(case: Case) -> CheckResult:
    """Compare the skill with the least that a model should have."""
    limits = cast(WeakModel, case.limits[CODE])
    if len(case.mended) < MIN_ROWS:
        return CheckResult.inconclusive(f"{len(case.mended)} of {MIN_ROWS} validation rows")
    score, interval = case.mended_score
    skill = _skill(case, score)
    low, high = (_skill(case, end) for end in interval)
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


def _skill(case: Case, score: float) -> float:
    return (score - case.scorer.chance) / (case.scorer.perfect - case.scorer.chance)


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
