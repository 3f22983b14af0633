"""The ranking is good, the cut is not.

What it measures: what balanced accuracy gains when the threshold is chosen for it on one half of the validation
    rows and used on the other, and the reverse (cross-fitting), with a paired bootstrap interval; and what becomes
    of accuracy and of Matthews' correlation. A cut that serves one metric at the expense of the others is a
    trade-off, which every rare class offers, and no fault: it is mentioned and no more.
Why it matters: a classifier is trained for probabilities; 0.5 is right only where both errors cost the same and
    the classes are calibrated. A good ranking with a bad cut looks like a bad model.
When it is inconclusive: a class has fewer than `min_class_rows` rows.
How to fix: choose the threshold on training or held-out predictions for the metric that the decision needs, and
    ship it with the model.
Reference: Chow & Liu, 1968; Fawcett, 2006, https://doi.org/10.1016/j.patrec.2005.10.010
"""

from dataclasses import replace
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.labels import UNKNOWN
from audits.evidence.scoring import quantile_interval
from audits.evidence.thresholds import best_threshold
from audits.repairs.protocol import gain_of
from audits.results import CheckResult
from audits.statistics import metrics
from audits.statistics.intervals import auc_interval
from schemas.limits.metrics import DecisionThreshold
from schemas.report import Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.decision_threshold"
# Half a point of accuracy is no price to speak of; a tenth of Matthews' correlation is worth a price.
SAME_ACCURACY = 0.005
LARGE_RISE = 0.1


def decision_threshold(case: Case) -> CheckResult:
    """Cross-fit the threshold and compare."""
    limits = cast(DecisionThreshold, case.limits[CODE])
    if case.labels.n_classes != 2 or case.meaning.kind == "class":
        return CheckResult.not_applicable(
            "there is no threshold to choose: the output is not one probability of two classes"
        )
    subject = case.mended
    counts = np.bincount(subject.labels[subject.labels != UNKNOWN], minlength=2)
    if counts.min() < limits.min_class_rows:
        return CheckResult.inconclusive(f"{counts.min()} rows of a class; {limits.min_class_rows} are needed")
    after = cross_fitted(case, subject)
    gain = gain_of(case, subject, after, "threshold")
    estimate, interval = cast(float, gain.estimate), cast("tuple[float, float]", gain.interval)
    if interval[0] <= limits.min_gain:
        return CheckResult.passed(smallest=limits.min_gain + (interval[1] - interval[0]) / 2)
    known = (subject.labels != UNKNOWN) & np.isfinite(_scores(subject))
    if auc_interval(_scores(subject)[known], subject.labels[known] == 1)[0] <= limits.min_auc:
        return CheckResult.passed(reason="the ranking is no better than chance: no threshold mends that")
    threshold = best_threshold(subject.labels, _scores(subject))
    before, score = case.score(subject), case.score(after)
    ranking = float(metrics.roc_auc(_scores(subject)[known], subject.labels[known] == 1))
    accuracy = [float(metrics.accuracy(s.labels, case.scorer.answers(s.predictions))) for s in (subject, after)]
    summary = (
        f"The model ranks well (ROC AUC {ranking:.2f}), but cutting at {case.meaning.threshold:g} gives a balanced "
        f"accuracy of {before:.2f}; near {threshold:.3g} it is {score:.2f}"
        + (f", while accuracy goes from {accuracy[0]:.2f} to {accuracy[1]:.2f}." if accuracy[1] < accuracy[0] else ".")
    )
    traded = _is_trade_off(case, subject, after, estimate, limits)
    loud = Severity.CRITICAL if estimate >= limits.critical_gain else Severity.WARNING
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=Severity.INFO if traded else loud,
        title="The decision threshold does not suit the metric",
        summary=summary,
        effect=Effect(name="gain_in_balanced_accuracy", estimate=estimate, interval=interval, limit=limits.min_gain),
        n=len(subject),
        evidence={
            "threshold": case.meaning.threshold,
            "better_threshold": threshold,
            "roc_auc": ranking,
            "accuracy_before": accuracy[0],
            "accuracy_after": accuracy[1],
            "serves": "balanced_accuracy",
        },
        remedy=_remedy(threshold),
    )
    if traded:
        reason = "a trade-off: what balanced accuracy gains, accuracy loses or does not see"
        return CheckResult(Outcome.PASS, reason, finding=finding, ranks=False, smallest_visible_effect=limits.min_gain)
    confirmation = Confirmation(
        confirmed=True,
        intervention=f"cut at a cross-fitted threshold near {threshold:.3g} instead of {case.meaning.threshold:g}",
        metric=case.scorer.metric,
        before=before,
        after=score,
        gain_interval=interval,
        # cross-fitting is the control here: a threshold at random gains too, where the given one is at an end
        placebo_gain=None,
        n=len(subject),
    )
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=confirmation,
        recovered=gain,
        repair=lambda decided: cross_fitted(case, decided),
    )


def _is_trade_off(case: Case, subject: Subject, after: Subject, gain: float, limits: DecisionThreshold) -> bool:
    """Whether accuracy pays for the gain, or does not rise where the gain is small.

    With a rare class, every model of true probabilities gains some balanced accuracy where it is cut lower: that is a
    preference. Accuracy hardly matters where Matthews' correlation rises far.
    """
    columns = (subject.labels, *(case.scorer.answers(s.predictions) for s in (subject, after)))
    before, now = (float(metrics.accuracy(subject.labels, answers)) for answers in columns[1:])
    if now >= before - SAME_ACCURACY:
        return now <= before + SAME_ACCURACY and gain < limits.critical_gain

    def change(weights: Array, y: Array, a: Array, b: Array) -> Array:
        return np.asarray(metrics.mcc(y, b, 2, weights) - metrics.mcc(y, a, 2, weights))

    draws = case.scorer.resample(columns, change, case.rng("trade-off"), subject.groups)
    return quantile_interval(draws)[0] <= LARGE_RISE


def cross_fitted(case: Case, subject: Subject) -> Subject:
    """The subject decided by the threshold that suits the other half best."""
    half = _halves(case, subject)
    scores, decisions = _scores(subject), subject.predictions.decisions
    assert decisions is not None  # noqa: S101 - the caller has looked at the task
    result = decisions.copy()
    for fit, held in ((half, ~half), (~half, half)):
        cut = best_threshold(subject.labels[fit], scores[fit])
        result[held] = (scores[held] >= cut).astype(np.int64)
    result[decisions < 0] = -1
    return replace(subject, predictions=replace(subject.predictions, decisions=result))


def _halves(case: Case, subject: Subject) -> Array:
    """(rows,) mask of one half, drawn within each class."""
    rng = case.rng("threshold halves")
    half = np.zeros(len(subject), dtype=bool)
    for label in np.unique(subject.labels):
        rows = rng.permutation(np.flatnonzero(subject.labels == label))
        half[rows[: len(rows) // 2]] = True
    return half


def _scores(subject: Subject) -> Array:
    assert subject.predictions.probabilities is not None  # noqa: S101 - the caller has looked at the task
    return np.asarray(subject.predictions.probabilities[:, 1])


def _remedy(threshold: float) -> Remedy:
    text = (
        f"Decide at {threshold:.3g}, or choose the threshold anew on training predictions for the metric that your "
        "decision needs, and ship it with the model. Where one error costs more, put the costs into the choice."
    )
    code = (
        "import numpy as np\n\n"
        f"THRESHOLD = {threshold:.6g}\n\n"
        "def decide(probability: np.ndarray) -> np.ndarray:\n"
        "    return (probability >= THRESHOLD).astype(int)\n"
    )
    return Remedy(text=text, code=code)
