"""The proof: repair the suspected fault, run the same frozen model again, and see whether the metric comes back.

A repair is confirmed when, on the same rows,
    the gain exceeds its margin and its 95 % bootstrap interval lies above zero (paired, by whole groups);
    the gain exceeds that of every placebo, the same kind of repair aimed at random;
    and, estimated on one half of the training rows, it does the other half no harm.
Repairs that need validation labels estimate on other rows than they are judged on.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array, SplitName
from audits.evidence.case import Case, Subject
from audits.evidence.features import concatenate
from audits.evidence.labels import UNKNOWN
from audits.evidence.outputs import Predictions
from audits.evidence.scoring import quantile_interval
from audits.statistics.intervals import mean_of_paired_differences
from schemas.limits.base import Repairable
from schemas.problem import EvaluatorError
from schemas.report import Confirmation, Effect, Estimate, Remedy

# The one suspect that repairs labels; see `_hidden_by_labels`.
LABELS = "preprocessing.label_encoding"
log = logging.getLogger(__name__)

MAX_HARM = 0.01
MAX_ROUNDS = 5
# Two repairs whose gains differ by less than this, or by less than this share of the larger one, explain the same loss;
# the more specific one is believed. Only R2, which has no lower end, is gained by more than 1.
EQUAL_GAIN = 0.02
# Placebo rows that go through the model in one call.
MAX_PLACEBO_ROWS = 50_000
MAX_PLACEBO_VALUES = 2**25


@dataclass(frozen=True)
class Suspicion:
    """A suspected fault and the repair that would prove it.

    Attributes:
        code: of the finding.
        intervention: what the repair does, in words that complete "when we ...".
        apply: the repaired subject; it runs the model again where features changed.
        placebo: one placebo repair, or None where there is nothing to aim at random; the model is run afterwards
            where features changed.
        replay: the repair as it was estimated here, for rows in another state of repair; None where `apply`
            estimates nothing from the rows that it is given.
        columns: what is repaired.
        rows: (rows,) mask of the rows that the repair changes.
        guesses: whether it puts guesses in place of values that are lost, so that its rows stay worse than others.
        effect: what the detector measured.
        q_value: after multiplicity control over the columns.
        evidence: details for the report.
        remedy: what the user should do.
    """

    code: str
    intervention: str
    apply: Callable[[Subject], Subject]
    effect: Effect
    remedy: Remedy
    placebo: Callable[[Subject, np.random.Generator], Subject] | None = None
    replay: Callable[[Subject], Subject] | None = None
    columns: tuple[str, ...] = ()
    rows: Array | None = None
    guesses: bool = False
    p_value: float | None = None
    q_value: float | None = None
    evidence: Mapping[str, JsonValue] = field(default_factory=dict)


class Suspect(Protocol):
    """A detector: compares a subject with a reference of healthy rows."""

    def __call__(self, case: Case, reference: Subject, subject: Subject) -> Suspicion | None: ...


@dataclass(frozen=True)
class Trial:
    """A repair that was tried.

    Attributes:
        suspicion: what was tried.
        confirmation: what the model said.
        gain: of the primary metric, on the rows that were repaired.
        after: those rows, repaired.
        reason: why it is no cause, or None.
        of: the split whose rows were repaired and judged.
    """

    suspicion: Suspicion
    confirmation: Confirmation
    gain: Estimate
    after: Subject
    reason: str | None
    of: SplitName = "validation"

    @property
    def confirmed(self) -> bool:
        return self.confirmation.confirmed


def mend(case: Case, suspects: Sequence[tuple[str, Suspect]], on_trial: Callable[[str], None] = lambda _: None) -> Case:
    """Repair what can be proven, the most effective repair first, until nothing more is confirmed.

    After each confirmed repair every detector looks again at what is left, so that one fault is not reported
    under several names and two faults at once come apart, also where misread labels hide what a repair gains.

    Args:
        case: as collected.
        suspects: code and detector, the most specific first.
        on_trial: told the code of each repair that is about to be tried.
    """
    trials: list[Trial] = []
    mended = case.mended
    open_suspects = dict(suspects)
    failed: set[str] = set()
    for _ in range(MAX_ROUNDS):
        candidates = []
        # one case a round: what it has fitted to these rows serves every detector
        current = replace(case, mended=mended)
        for code, suspect in open_suspects.items():
            trial = _looked_at(current, code, suspect, failed, on_trial)
            if trial is not None:
                candidates.append(trial)
        open_suspects = {code: suspect for code, suspect in open_suspects.items() if code not in failed}
        chosen = _most_effective([trial for trial in candidates if trial.confirmed])
        proven = (chosen,) if chosen else _hidden_by_labels(case, mended, candidates, open_suspects, failed, on_trial)
        if not proven:
            trials += candidates
            break
        trials += proven
        mended = proven[-1].after
        for trial in proven:
            del open_suspects[trial.suspicion.code]
    return replace(case, mended=mended, trials=(*case.trials, *trials), failed=case.failed | failed)


def _looked_at(
    case: Case, code: str, suspect: Suspect, failed: set[str], on_trial: Callable[[str], None]
) -> Trial | None:
    """The trial of what the detector suspects."""

    def attempt() -> Trial | None:
        suspicion = suspect(case, case.train.sample, case.mended)
        if suspicion is None:
            return None
        on_trial(code)
        return try_repair(case, case.mended, suspicion, suspect)

    return _guarded(code, failed, attempt)


def _guarded(code: str, failed: set[str], attempt: Callable[[], Trial | None]) -> Trial | None:
    """What the attempt gives; a detector or a repair that crashes costs its own check alone."""
    try:
        return attempt()
    except EvaluatorError:
        raise
    except Exception:
        log.exception("detector or repair of %s crashed", code)
        failed.add(code)
        return None


def _most_effective(confirmed: list[Trial]) -> Trial | None:
    if not confirmed:
        return None
    best = max(cast(float, trial.gain.estimate) for trial in confirmed)
    least = best - EQUAL_GAIN * max(best, 1.0)
    return next(trial for trial in confirmed if cast(float, trial.gain.estimate) >= least)


def _hidden_by_labels(
    case: Case,
    subject: Subject,
    refuted: list[Trial],
    suspects: Mapping[str, Suspect],
    failed: set[str],
    on_trial: Callable[[str], None],
) -> tuple[Trial, ...]:
    """A repair of features and one of labels that each show only once the other is made; empty if there is none.

    While the labels are misread, a better answer scores worse, and while the answers are at chance, no reading of
    the labels is better than another. Both must be proven in the other's presence, and both together gain.
    """
    suspect = suspects.get(LABELS)
    for first in refuted:
        if suspect is None or LABELS in failed or first.suspicion.code == LABELS:
            continue
        second = _looked_at(replace(case, mended=first.after), LABELS, suspect, failed, on_trial)
        if second is None:
            continue
        both = second.after
        together = gain_of(case, subject, both, f"repair {first.suspicion.code} and {LABELS}")
        # turning the answers around and then the labels would gain twice, and nothing together
        if not second.confirmed or _insufficient(together, cast(Repairable, case.limits[LABELS]).min_gain):
            continue
        first_again = _in_presence(case, first, subject.with_labels(both.labels), both, suspects, failed, on_trial)
        if first_again is not None and first_again.confirmed:
            return first_again, second
    return ()


def _in_presence(
    case: Case,
    trial: Trial,
    before: Subject,
    after: Subject,
    suspects: Mapping[str, Suspect],
    failed: set[str],
    on_trial: Callable[[str], None],
) -> Trial | None:
    """The trial again, where another repair stands on both sides of it."""
    code = trial.suspicion.code

    def attempt() -> Trial:
        on_trial(code)
        again = replace(trial.suspicion, apply=lambda _: after)
        return replace(try_repair(case, before, again, suspects[code]), suspicion=trial.suspicion)

    return _guarded(code, failed, attempt)


def try_repair(case: Case, subject: Subject, suspicion: Suspicion, suspect: Suspect) -> Trial:
    """Apply the protocol to one suspicion."""
    limits = cast(Repairable, case.limits[suspicion.code])
    after = suspicion.apply(subject)
    gain = gain_of(case, subject, after, "repair " + suspicion.code)
    reason = _insufficient(gain, limits.min_gain) or _too_few_rows_gained(case, subject, after)
    placebo = None
    if reason is None and suspicion.placebo is not None:
        placebo = largest_placebo_gain(case, subject, suspicion, limits.placebos)
        if cast(float, gain.estimate) <= placebo:
            reason = f"a placebo repair gained as much ({placebo:+.3f})"
    if reason is None:
        reason = _harm(case, suspect)
    confirmation = Confirmation(
        confirmed=reason is None,
        intervention=suspicion.intervention,
        metric=case.scorer.metric,
        before=case.score(subject),
        after=case.score(after),
        gain_interval=gain.interval,
        placebo_gain=placebo,
        n=len(subject),
    )
    return Trial(suspicion, confirmation, gain, after, reason)


def gain_of(case: Case, before: Subject, after: Subject, purpose: str) -> Estimate:
    """Metric after minus metric before on the same rows, with its paired bootstrap interval."""
    draws = case.scorer.contrast_draws(
        before.labels,
        case.scorer.answers(before.predictions),
        after.labels,
        case.scorer.answers(after.predictions),
        case.rng(purpose),
        before.groups,
    )
    return Estimate(estimate=case.score(after) - case.score(before), interval=quantile_interval(draws), n=len(before))


def _insufficient(gain: Estimate, min_gain: float) -> str | None:
    estimate, interval = cast(float, gain.estimate), gain.interval
    if estimate <= min_gain:
        return f"the metric changed by {estimate:+.3f}, less than {min_gain}"
    if interval is None or interval[0] <= 0:
        return f"the gain of {estimate:+.3f} is not distinguishable from none at n = {gain.n}"
    return None


def _too_few_rows_gained(case: Case, before: Subject, after: Subject) -> str | None:
    """Why the rows that the repair sets right are too few: a resample of two rows of a rare class is sure of itself."""
    if case.is_regression:
        return None
    truth, known = after.labels, after.labels != UNKNOWN
    if not known.any():
        return None
    now = case.scorer.answers(after.predictions) == truth
    # a row whose label was no class counted as wrong before
    was = (case.scorer.answers(before.predictions) == before.labels) & (before.labels != UNKNOWN)
    gained, lost, rows = (
        np.bincount(truth[known & mask], minlength=case.labels.n_classes) for mask in (now & ~was, was & ~now, known)
    )
    low, high = mean_of_paired_differences(gained, lost, rows)
    if low > 0:
        return None
    return f"by class, {gained.tolist()} rows are gained and {lost.tolist()} lost: a gain of {low:+.3f} to {high:+.3f}"


def largest_placebo_gain(case: Case, subject: Subject, suspicion: Suspicion, draws: int) -> float:
    """The largest gain of `draws` placebo repairs; the model runs on many of them at once."""
    assert suspicion.placebo is not None  # noqa: S101 - the caller has looked
    rng = case.rng("placebo " + suspicion.code)
    before = case.score(subject)
    values = len(subject) * max(1, math.prod(case.space.row_shape(subject.rows)))
    per_call = max(1, min(MAX_PLACEBO_ROWS // len(subject), MAX_PLACEBO_VALUES // values))
    gains: list[float] = []
    while len(gains) < draws:
        repaired = [suspicion.placebo(subject, rng) for _ in range(min(per_call, draws - len(gains)))]
        gains += [case.score(one) - before for one in _rerun_changed(case, subject, repaired)]
    return max(gains)


def _rerun_changed(case: Case, subject: Subject, repaired: list[Subject]) -> list[Subject]:
    """Predictions for those whose features are no longer the subject's."""
    if any(one.rows is subject.rows for one in repaired):
        return repaired
    answers = case.predict(concatenate([one.rows for one in repaired]))
    n = len(subject)
    return [replace(one, predictions=_slice(answers, i * n, (i + 1) * n)) for i, one in enumerate(repaired)]


def _slice(predictions: Predictions, start: int, stop: int) -> Predictions:
    return predictions.at(np.arange(start, stop))


def _harm(case: Case, suspect: Suspect) -> str | None:
    """Why the repair would hurt healthy rows: it is estimated on half of the training rows against the other."""
    sample = case.train.sample
    order = case.rng("harm").permutation(len(sample))
    reference, healthy = sample.at(order[::2]), sample.at(order[1::2])
    suspicion = suspect(case, reference, healthy)
    if suspicion is None:
        return None
    change = gain_of(case, healthy, suspicion.apply(healthy), "harm")
    estimate, interval = cast(float, change.estimate), cast("tuple[float, float]", change.interval)
    if estimate >= -MAX_HARM or interval[1] >= 0:
        return None
    return f"on healthy training rows the same repair changes the metric by {estimate:+.3f}"
