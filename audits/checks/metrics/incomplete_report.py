"""The reported metrics hide what the decision needs.

What it measures: which metrics are reported alone: precision without recall and the reverse, an average that large
    classes dominate, a ranking without decisions, R2 without an error in the target's unit, percentage errors; and
    what the missing one is on the validation data, with its interval. It warns only where that does harm: the
    missing metric lies far below the reported kind, R2 tells of the spread of the targets and not of the model, or
    targets near zero make percentages meaningless.
Why it matters: a model that answers "yes" once and is right has a precision of 1 and finds nobody.
When it is inconclusive: fewer than 20 validation rows.
How to fix: report the missing metric, on the same rows, next to the others.
Reference: Maier-Hein et al., 2024, https://doi.org/10.1038/s41592-023-02151-z; Hyndman & Koehler, 2006
    (percentage errors), https://doi.org/10.1016/j.ijforecast.2006.03.001
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.problem import near_zero_share
from audits.evidence.reported.forensics import groups_of, has_scores, interval, judged, reading_of
from audits.evidence.reported.table import METRICS, Judged
from audits.repairs.metric_code import measuring_code
from audits.results import CheckResult
from audits.statistics.intervals import wilson
from schemas.limits.metrics import IncompleteReport
from schemas.report import Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.incomplete_report"
MIN_ROWS = 20


@dataclass(frozen=True)
class Alone:
    """A metric that says too little by itself.

    Attributes:
        reported: any of these is reported,
        unless: and none of these.
        missing: what to report with it, the first that the model allows.
        why: completes "... alone ".
        harmful: whether a missing metric far below the reported one is told as a warning.
    """

    reported: frozenset[str]
    unless: frozenset[str]
    missing: tuple[str, ...]
    why: str
    harmful: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


F = "f1 f1_macro f1_weighted mcc"
RULES = (
    Alone(
        _names("precision precision_macro precision_weighted"),
        _names(f"recall balanced_accuracy average_precision average_precision_pooled {F}"),
        ("recall", "balanced_accuracy"),
        "does not say how many are missed",
        harmful=True,
    ),
    Alone(
        _names("recall"),
        _names(f"precision specificity balanced_accuracy roc_auc average_precision {F}"),
        ("precision",),
        "does not say how many alarms are false",
        harmful=True,
    ),
    Alone(
        _names("specificity"),
        _names(f"recall balanced_accuracy roc_auc average_precision {F}"),
        ("recall",),
        "does not say how many are missed",
        harmful=True,
    ),
    Alone(
        _names("f1_weighted precision_weighted"),
        _names("balanced_accuracy f1_macro mcc precision_macro cohen_kappa roc_auc"),
        ("f1_macro",),
        "is an average that the large classes make",
        harmful=True,
    ),
    Alone(
        _names("roc_auc roc_auc_weighted roc_auc_pooled average_precision average_precision_pooled"),
        _names(f"accuracy balanced_accuracy precision recall specificity cohen_kappa {F}"),
        ("balanced_accuracy",),
        "judges the ranking, and not the decisions that are made",
    ),
    Alone(
        _names("log_loss brier brier_mean"),
        _names(f"accuracy balanced_accuracy precision recall roc_auc average_precision cohen_kappa {F}"),
        ("balanced_accuracy",),
        "has no scale on which a reader could place it",
    ),
    Alone(
        _names("r2 explained_variance pearson spearman"),
        _names("mae mse rmse mape mape_percent"),
        ("mae", "rmse"),
        "does not say how large the errors are",
    ),
    Alone(
        _names("mse rmse"),
        _names("mae r2 explained_variance mape mape_percent"),
        ("r2", "mae"),
        "does not say what a constant answer would reach",
    ),
)


@dataclass(frozen=True)
class Gap:
    """Something that the report does not say.

    Attributes:
        text: what, in a sentence.
        missing: metric to add.
        value, interval: of it.
        effect: what does harm, its interval, and the limit.
        harm: whether it does.
    """

    text: str
    missing: str
    value: float
    interval: tuple[float, float]
    effect: Effect
    harm: bool


def incomplete_report(case: Case) -> CheckResult:
    """Compare what is reported with what a decision needs."""
    limits = cast(IncompleteReport, case.limits[CODE])
    readings = [reading_of(case, one) for one in case.request.reported_metrics]
    reported = {reading.metrics[0] for reading in readings if reading.metrics}
    if not reported:
        return CheckResult.not_applicable("no metric is reported that is known")
    rows = judged(case, case.mended)
    if len(rows) < MIN_ROWS:
        return CheckResult.inconclusive(f"{len(rows)} of {MIN_ROWS} validation rows")
    gaps = list(_gaps(case, rows, reported, limits))
    if not gaps:
        return CheckResult.passed(reason="what is reported says what a decision needs")
    gaps.sort(key=lambda gap: not gap.harm)
    finding = _finding(gaps, len(rows))
    if gaps[0].harm:
        return CheckResult(Outcome.FAIL, finding=finding)
    return CheckResult(Outcome.PASS, finding.summary, finding=finding, ranks=False)


def _gaps(case: Case, rows: Judged, reported: set[str], limits: IncompleteReport) -> Iterator[Gap]:
    for rule in RULES:
        if reported & rule.reported and not reported & rule.unless:
            gap = _alone(case, rows, min(reported & rule.reported), rule, limits)
            if gap is not None:
                yield gap
    if case.is_regression:
        yield from _percentages(case, rows, reported, limits)
        yield from _spread(case, rows, reported, limits)


def _alone(case: Case, rows: Judged, told: str, rule: Alone, limits: IncompleteReport) -> Gap | None:
    scores = has_scores(case)
    allowed = [name for name in rule.missing if METRICS[name].applies(case.labels.task, scores=scores)]
    if not allowed:
        return None
    name = allowed[0]
    measured, beside = _measured(case, rows, name), METRICS[told](rows)
    if measured is None or not np.isfinite(beside):
        return None
    value, bounds = measured
    return Gap(
        f"{METRICS[told].title} alone {rule.why}: {METRICS[name].title} is {value:.3g} "
        f"[{bounds[0]:.3g}, {bounds[1]:.3g}]",
        name,
        value,
        bounds,
        _effect(f"{told}_minus_{name}", beside - value, (beside - bounds[1], beside - bounds[0]), limits.material_gap),
        rule.harmful and beside - bounds[1] > limits.material_gap,
    )


def _percentages(case: Case, rows: Judged, reported: set[str], limits: IncompleteReport) -> Iterator[Gap]:
    """Percentage errors of targets near zero."""
    if not reported & {"mape", "mape_percent"}:
        return
    n = len(rows)
    share = near_zero_share(rows.labels, limits.near_zero)
    bounds = wilson(round(share * n), n)
    if share == 0:
        return
    measured = _measured(case, rows, "mae")
    if measured is None:
        return
    value, around = measured
    yield Gap(
        f"{share:.1%} of the validation targets are near zero, where a percentage error means nothing: "
        f"the mean absolute error is {value:.4g} [{around[0]:.4g}, {around[1]:.4g}]",
        "mae",
        value,
        around,
        _effect("share_of_targets_near_zero", share, bounds, limits.max_near_zero),
        bounds[0] > limits.max_near_zero,
    )


def _spread(case: Case, rows: Judged, reported: set[str], limits: IncompleteReport) -> Iterator[Gap]:
    """R2 of validation targets that spread otherwise than those of training."""
    if "r2" not in reported or reported & {"mae", "mse", "rmse"}:
        return
    ours, theirs = float(np.std(case.train.labels)), float(np.std(rows.labels))
    if not ours > 0 or not theirs > 0:
        return
    ratio = theirs / ours
    error = sum(_squared_error_of_log_deviation(y) for y in (case.train.labels, rows.labels)) ** 0.5
    if abs(np.log(ratio)) - 2 * error <= -np.log(limits.min_spread):
        return
    fit, size = _measured(case, rows, "r2"), _measured(case, rows, "rmse")
    if fit is None or size is None:
        return
    (here, ends), (value, around) = fit, size
    # the same errors against the spread that the model was trained on
    there = 1 - (1 - here) * ratio**2
    scale = [(1 - end) * abs(1 - ratio**2) for end in ends]
    difference, bounds = here - there, (min(scale), max(scale))
    yield Gap(
        f"the validation targets spread {ratio:.2f} times as much as those of training: with the same errors R2 is "
        f"{here:.2f} here and {there:.2f} at the spread of training; RMSE is {value:.4g} "
        f"[{around[0]:.4g}, {around[1]:.4g}]",
        "rmse",
        value,
        around,
        _effect(
            "r2_due_to_the_spread", abs(difference), (min(bounds[0], abs(difference)), bounds[1]), limits.material_r2
        ),
        bounds[0] > limits.material_r2,
    )


def _squared_error_of_log_deviation(y: Array) -> float:
    """Squared standard error, by the delta method: (kurtosis - 1) / 4n."""
    return float(np.mean(np.square(np.square(y - y.mean()))) / np.var(y) ** 2 - 1) / (4 * len(y))


def _effect(name: str, estimate: float, bounds: tuple[float, float], limit: float) -> Effect:
    low, high = min(bounds[0], estimate), max(bounds[1], estimate)
    return Effect(name=name, estimate=estimate, interval=(low, high), limit=limit)


def _measured(case: Case, rows: Judged, name: str) -> tuple[float, tuple[float, float]] | None:
    """The metric and its interval; None where it is not defined on these rows."""
    bounds = interval(METRICS[name], rows, case.rng(f"missing {name}"), groups_of(case, case.mended))
    value = METRICS[name](rows)
    return (value, bounds) if np.isfinite([value, *bounds]).all() else None


def _finding(gaps: list[Gap], n: int) -> Finding:
    worst = gaps[0]
    told: list[JsonValue] = [
        {
            "metric": gap.missing,
            "estimate": gap.value,
            "interval": list(gap.interval),
            "why": gap.text,
            "harm": gap.harm,
        }
        for gap in gaps
    ]
    names = [gap.missing for gap in gaps]
    text = "; ".join(dict.fromkeys(METRICS[name].title for name in names))
    return Finding(
        code=CODE,
        family="metrics",
        severity=Severity.WARNING if worst.harm else Severity.INFO,
        title="The reported metrics leave out what matters",
        summary=worst.text[0].upper() + worst.text[1:] + ".",
        effect=worst.effect,
        n=n,
        evidence={"missing": told},
        remedy=Remedy(
            text=f"Report on the same rows, next to what is reported: {text}.",
            code=measuring_code(names),
        ),
    )
