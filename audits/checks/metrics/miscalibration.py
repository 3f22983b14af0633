"""Confidence and frequency disagree.

What it measures: the root mean square distance between the probabilities and the frequencies that they promise,
    without the bias of sampling, over equal-mass bins, with its interval; by consistency resampling (labels drawn
    from the model's own probabilities) whether the expected calibration error is larger than a true model's; and
    what a temperature gains in log loss when it is fitted on one half of the rows and used on the other. Of two
    classes a bias is fitted too where it is needed. With more classes the favourite class is judged.
Why it matters: callers act on the probability, not only on the label: thresholds, rankings over several models
    and expected costs are wrong with it, while accuracy looks fine.
When it is inconclusive: fewer than `min_rows` rows, or so few that an error of `material_error` could be missed.
How to fix: divide the logits by the temperature that the finding names, or fit one anew on held-out rows. A
    model that memorised its training rows is too sure as well: mend that first.
Reference: Guo et al., 2017, https://doi.org/10.48550/arXiv.1706.04599; Broecker & Smith, 2007,
    https://doi.org/10.1175/WAF993.1; Kumar et al., 2019, https://doi.org/10.48550/arXiv.1909.10155
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.gap import honest_validation
from audits.evidence.labels import UNKNOWN
from audits.evidence.outputs import SUM_TOLERANCE, WITHOUT_CONFIDENCE
from audits.evidence.scoring import quantile_interval
from audits.repairs.recalibration import numbers, recalibration_remedy
from audits.results import CheckResult
from audits.statistics import calibration, intervals, metrics, resampling
from audits.statistics.calibration import DebiasedError, Recalibration
from audits.statistics.distributions import HypothesisTest
from audits.statistics.intervals import Interval
from schemas.limits.metrics import Miscalibration
from schemas.report import Confirmation, Effect, Finding, Outcome, Severity

CODE = "metrics.miscalibration"
# Below, fifteen bins would hold too few rows to tell anything of each.
ROWS_A_BIN = 20


@dataclass(frozen=True)
class _Seen:
    """What was seen before any correction.

    Attributes:
        error: debiased.
        test: of consistency.
        null: (draws,) errors of a model whose probabilities are true.
    """

    error: DebiasedError
    test: HypothesisTest
    null: Array


@dataclass(frozen=True)
class _Correction:
    """A cross-fitted recalibration.

    Attributes:
        kind: temperature, or temperature and bias.
        fitted: on all rows, for the user.
        after: (rows, classes) recalibrated by what the other half says.
        gain: (rows,) log loss before minus log loss after.
    """

    kind: str
    fitted: Recalibration
    after: Array
    gain: Array


def miscalibration(case: Case) -> CheckResult:
    """Test, measure and recalibrate."""
    limits = cast(Miscalibration, case.limits[CODE])
    if case.is_regression or case.meaning.kind == "class":
        return CheckResult.not_applicable("the model answers values or classes: nothing states its confidence")
    if case.meaning.form in WITHOUT_CONFIDENCE:
        return CheckResult.not_applicable("the answers are neither probabilities nor logits: nothing states confidence")
    subject = _judged(honest_validation(case))
    if len(subject) < limits.min_rows:
        return CheckResult.inconclusive(f"{len(subject)} of {limits.min_rows} rows with a label and an answer")
    probabilities, labels = _probabilities(subject), subject.labels
    reason = _no_confidence(probabilities)
    if reason is not None:
        return CheckResult.not_applicable(reason)
    confidence, events = _promises(probabilities, labels)
    error = _error(confidence, events)
    visible = error.interval[1] - error.estimate
    bin_of = calibration.equal_mass_bins(confidence)
    test, null = calibration.consistency_test(confidence, events, bin_of, case.rng("consistency"))
    if test.p_value > limits.max_p:
        return CheckResult.passed(smallest=visible, margin=limits.material_error)
    correction = _cross_fitted(case, subject, limits)
    interval = _mean_interval(case, subject, correction.gain)
    strength = correction.fitted.strength
    slight = 1 / limits.min_temperature < strength < limits.min_sharpening
    unchanged = slight and (strength > 1 or not correction.fitted.bias)
    if interval[0] <= limits.min_gain or unchanged:
        told = f"the probabilities are not exact (p = {test.p_value:.2g}), but a cross-fitted {correction.kind}"
        reason = (
            f"{told} hardly changes them ({numbers(correction.fitted)})"
            if interval[0] > limits.min_gain
            else f"{told} ({numbers(correction.fitted)}) brings back {interval[0]:.3f} to {interval[1]:.3f} of log "
            f"loss, which is not more than {limits.min_gain} for certain"
        )
        return CheckResult(Outcome.PASS, reason, smallest_visible_effect=visible)
    placebo = _largest_placebo_gain(case, subject, limits)
    over_shares = _mean_interval(case, subject, _losses_of_shares(case, subject) - _losses(correction.after, labels))
    if float(correction.gain.mean()) <= placebo or over_shares[0] <= 0:
        return CheckResult(
            Outcome.PASS,
            f"recalibrated, the probabilities say no more than the class shares; a temperature fitted to shuffled "
            f"labels gains {placebo:.3f} of log loss, the true one {float(correction.gain.mean()):.3f}",
            smallest_visible_effect=visible,
        )
    return _found(case, subject, _Seen(error, test, null), correction, interval, placebo)


def _judged(subject: Subject) -> Subject:
    """The rows with a label and an answer."""
    return subject.at(subject.predictions.answered & (subject.labels != UNKNOWN))


def _probabilities(subject: Subject) -> Array:
    assert subject.predictions.probabilities is not None  # noqa: S101 - the caller has looked at the task
    return subject.predictions.probabilities


def _no_confidence(probabilities: Array) -> str | None:
    """Why these numbers state no confidence, or None."""
    if ((probabilities == 0) | (probabilities == 1)).all():
        return "every answer is 0 or 1: decisions, and no probabilities"
    if np.abs(probabilities.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        return "the outputs of a row do not sum to 1: they are no probabilities of exclusive classes"
    return None


def _promises(probabilities: Array, labels: Array) -> tuple[Array, Array]:
    """(rows,) confidence and whether it came true: of class 1, or with more classes of the favourite one."""
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], labels == 1
    favourite = probabilities.argmax(axis=1)
    return probabilities[np.arange(len(labels)), favourite], labels == favourite


def _error(confidence: Array, events: Array) -> DebiasedError:
    bins = int(np.clip(len(confidence) // ROWS_A_BIN, 2, calibration.BINS))
    return calibration.debiased_error(confidence, events, bins)


def _cross_fitted(case: Case, subject: Subject, limits: Miscalibration) -> _Correction:
    """A temperature; of two classes with a bias, where that is materially better."""
    temperature = _fitted_on_other_half(case, subject, "temperature")
    if _probabilities(subject).shape[1] != 2:
        return temperature
    logistic = _fitted_on_other_half(case, subject, "temperature and bias")
    better = _mean_interval(case, subject, logistic.gain - temperature.gain)
    return logistic if better[0] > limits.min_bias_gain else temperature


def _fitted_on_other_half(case: Case, subject: Subject, kind: str) -> _Correction:
    """Each half as the other one says."""
    fit = calibration.fit_temperature if kind == "temperature" else calibration.fit_logistic
    probabilities, labels = _probabilities(subject), subject.labels
    half = _halves(case, subject)
    after = probabilities.copy()
    for mine, other in ((half, ~half), (~half, half)):
        after[other] = fit(probabilities[mine], labels[mine]).apply(probabilities[other])
    gain = case.scorer.losses(labels, subject.predictions) - _losses(after, labels)
    return _Correction(kind, fit(probabilities, labels), after, gain)


def _halves(case: Case, subject: Subject) -> Array:
    """(rows,) mask of one half: whole groups, else drawn within each class along the confidence.

    Neighbours in confidence are parted, so that the halves do not depend on the order of the rows.
    """
    rng = case.rng("calibration halves")
    if subject.groups is not None:
        _, group = np.unique(subject.groups, return_inverse=True)
        return np.asarray((rng.permutation(group.max() + 1) % 2 == 0)[group])
    probabilities = _probabilities(subject)
    order = np.lexsort((*probabilities.T, subject.labels))
    half = np.zeros(len(subject), dtype=bool)
    half[order] = np.arange(len(subject)) % 2 == 0
    return half


def _losses(probabilities: Array, labels: Array) -> Array:
    truth = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(truth, calibration.SMALLEST_PROBABILITY, 1.0)))


def _mean_interval(case: Case, subject: Subject, values: Array) -> Interval:
    """Interval of the mean of (rows,) values; by bootstrap over whole groups where there are any."""
    if subject.groups is None:
        return intervals.mean_interval(values)
    chunks = resampling.count_chunks(len(values), case.rng("calibration gain"), groups=subject.groups)
    return quantile_interval(np.concatenate([counts @ values / counts.sum(axis=1) for counts in chunks]))


def _largest_placebo_gain(case: Case, subject: Subject, limits: Miscalibration) -> float:
    """Of temperatures fitted to labels dealt out at random: what anyone gains by being less sure."""
    rng = case.rng("calibration placebo")
    probabilities = _probabilities(subject)
    before = float(case.scorer.losses(subject.labels, subject.predictions).mean())
    fits = (calibration.fit_temperature(probabilities, rng.permutation(subject.labels)) for _ in range(limits.placebos))
    return max(before - float(_losses(fit.apply(probabilities), subject.labels).mean()) for fit in fits)


def _found(
    case: Case,
    subject: Subject,
    seen: _Seen,
    correction: _Correction,
    interval: Interval,
    placebo: float,
) -> CheckResult:
    limits = cast(Miscalibration, case.limits[CODE])
    probabilities, labels = _probabilities(subject), subject.labels
    before, after = (float(metrics.log_loss(p, labels)) for p in (probabilities, correction.after))
    against_prior = _mean_interval(case, subject, _losses(probabilities, labels) - _losses_of_shares(case, subject))
    mended = _error(*_promises(correction.after, labels))
    accuracy, mean = float((probabilities.argmax(axis=1) == labels).mean()), float(probabilities.max(axis=1).mean())
    fitted, error = correction.fitted, seen.error
    worse = ", worse than always answering the class shares" if against_prior[0] > 0 else ""
    summary = (
        f"The model is {mean:.0%} sure on average and right in {accuracy:.0%} of {len(subject)} rows: confidence and "
        f"frequency differ by {error.estimate:.2f}. Its log loss is {before:.2f}{worse}; with a cross-fitted "
        f"{correction.kind} ({numbers(fitted)}) it is {after:.2f}, and the error {mended.estimate:.2f}."
    )
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=Severity.CRITICAL if against_prior[0] > 0 else Severity.WARNING,
        title="The model is surer than it should be" if mean > accuracy else "Confidence and frequency disagree",
        summary=summary,
        effect=Effect(
            name="log_loss_gained_by_recalibration",
            estimate=float(correction.gain.mean()),
            interval=interval,
            limit=limits.min_gain,
            unit="nats",
        ),
        p_value=seen.test.p_value,
        n=len(subject),
        evidence=_evidence(probabilities, labels, fitted, seen)
        | {
            "mean_confidence": mean,
            "accuracy": accuracy,
            "debiased_error": error.estimate,
            "debiased_error_interval": list(error.interval),
            "debiased_error_after": mended.estimate,
        },
        remedy=recalibration_remedy(fitted, len(case.labels.names)),
    )
    confirmation = Confirmation(
        confirmed=True,
        intervention=f"recalibrate with a cross-fitted {correction.kind} ({numbers(fitted)})",
        metric="log_loss",
        higher_is_better=False,
        before=before,
        after=after,
        gain_interval=interval,
        placebo_gain=placebo,
        n=len(subject),
    )
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=confirmation)


def _losses_of_shares(case: Case, subject: Subject) -> Array:
    """(rows,) log loss of always answering the training shares of the classes."""
    known = case.train.labels[case.train.labels != UNKNOWN]
    shares = np.bincount(known, minlength=case.labels.n_classes) / max(1, len(known))
    return _losses(np.broadcast_to(shares, (len(subject), len(shares))), subject.labels)


def _evidence(probabilities: Array, labels: Array, fitted: Recalibration, seen: _Seen) -> dict[str, JsonValue]:
    confidence, events = _promises(probabilities, labels)
    wide = calibration.equal_width_bins(confidence)
    brier = calibration.brier_parts(confidence, events, calibration.equal_mass_bins(confidence))
    z = calibration.spiegelhalter(confidence, events)
    told: dict[str, JsonValue] = {
        "judged": "class 1" if probabilities.shape[1] == 2 else "favourite class",
        "expected_calibration_error": calibration.calibration_error(confidence, events, wide),
        "equal_mass_calibration_error": seen.test.statistic,
        "equal_mass_calibration_error_if_true": [float(q) for q in np.quantile(seen.null, [0.5, 0.95, 0.99])],
        "brier": {
            "score": brier.score,
            "reliability": brier.reliability,
            "resolution": brier.resolution,
            "uncertainty": brier.uncertainty,
        },
        "temperature": fitted.temperature,
        "bias": fitted.bias,
        "reliability_curve": calibration.reliability_curve(confidence, events),
    }
    if np.isfinite(z.statistic):
        told["spiegelhalter_z"] = z.statistic
    if probabilities.shape[1] == 2:
        logistic = calibration.fit_logistic(probabilities, labels)
        told["slope"], told["slope_interval"] = logistic.strength, list(logistic.strength_interval)
        told["intercept"], told["intercept_interval"] = logistic.bias, list(logistic.bias_interval)
    return told
