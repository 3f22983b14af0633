"""The gap between the training and the validation metric, taken apart into terms that add up to it.

In this order, since each is measured on what the ones before have left:
    leakage: what the training metric owes to a column that knows the answer in training alone;
    repaired_fault: what each proven repair brings back (its Shapley value);
    contamination: what copies of training rows add to the validation metric (below 0: they hide a part of the gap);
    lost_values: what rows cost whose values are gone and had to be guessed;
    threshold: what vanishes when both splits are cut where the training rows say;
    input_shift: what weighting the validation rows to the training density brings back;
    label_shift: likewise for the labels; nothing for balanced accuracy, which does not see class shares;
    label_or_concept: what a control learner loses between the same splits, beyond the input shift;
    overfitting: the rest, where a check has found it by exclusion;
    unexplained: the rest otherwise, and what separate measurements do not add up to.

Reference: Cai, Namkoong & Yadlowsky, 2023, https://arxiv.org/abs/2303.02011 (the terms of a shift)
"""

from collections.abc import Mapping
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.diagnosis.attribution import Attribution
from audits.diagnosis.ranking import MIN_GAP, is_cause
from audits.evidence.case import MIN_TRUSTED, Case
from audits.evidence.gap import MIN_CLEAN_ROWS, honest_gap, honest_validation
from audits.evidence.scoring import quantile_interval
from audits.results import CheckResult
from audits.statistics.intervals import difference
from schemas.report import Estimate, Gap, GapTerm, TermKind

LABEL_BINS = 10
MAX_LABEL_WEIGHT = 20.0


def measure_gap(case: Case, results: Mapping[str, CheckResult], attribution: Attribution | None = None) -> Gap:
    """What was to be explained, its terms, and what is left."""
    train, validation = case.train_score[0], case.validation_score[0]
    gap = train - validation
    terms = _terms(case, results, attribution, gap)
    (rest,) = (term.estimate for term in terms if term.kind == "unexplained")
    left = max(0.0, rest) if gap > MIN_GAP or case.leaked else 0.0
    return Gap(
        metric=case.scorer.metric,
        reference=train,
        validation=validation,
        gap=gap,
        unexplained=left,
        unexplained_share=left / gap if gap > MIN_GAP else None,
        terms=terms,
        interaction=attribution.interaction if attribution is not None and len(attribution.values) > 1 else None,
    )


def _terms(
    case: Case, results: Mapping[str, CheckResult], attribution: Attribution | None, gap: float
) -> list[GapTerm]:
    terms = [*_leakage(results), *_repaired(attribution), *_rows_left_out(case)]
    terms += _threshold(case, attribution)
    left = gap - sum(term.estimate for term in terms)
    for measured in (_input_shift(results), _label_shift(case), _label_or_concept(case, results)):
        if measured is not None:
            # a shift is measured by itself and may exceed what there is to explain
            value = min(measured.estimate, max(0.0, left))
            left -= value
            terms.append(measured.model_copy(update={"estimate": value}))
    overfitted = any(code.startswith("overfitting.") and is_cause(result) for code, result in results.items())
    if overfitted and left > 0:
        low, high = honest_gap(case).interval
        terms.append(_term("overfitting", None, left, (low, high), honest_gap(case).n))
        left = 0.0
    terms.append(GapTerm(kind="unexplained", estimate=left, n=case.validation.n))
    return terms


def _term(kind: TermKind, code: str | None, value: float, interval: tuple[float, float] | None, n: int) -> GapTerm:
    return GapTerm(kind=kind, code=code, estimate=value, interval=interval, n=n)


def _of_estimate(kind: TermKind, code: str, value: Estimate | None) -> list[GapTerm]:
    if value is None or value.estimate is None:
        return []
    return [GapTerm(kind=kind, code=code, estimate=value.estimate, interval=value.interval, n=value.n)]


def _leakage(results: Mapping[str, CheckResult]) -> list[GapTerm]:
    code = "preprocessing.target_leakage"
    return _of_estimate("leakage", code, results[code].recovered) if code in results else []


def _repaired(attribution: Attribution | None) -> list[GapTerm]:
    values = {} if attribution is None else attribution.values
    return [term for code, value in values.items() for term in _of_estimate("repaired_fault", code, value)]


def _rows_left_out(case: Case) -> list[GapTerm]:
    """The metric without some rows less the metric with them, copies first, then rows with guessed values."""
    terms = []
    before = case.score(case.mended)
    steps: tuple[tuple[TermKind, Array], ...] = (
        ("contamination", case.decontaminated),
        ("lost_values", case.decontaminated & case.untouched),
    )
    for kind, kept in steps:
        if kept.all() or kept.sum() < MIN_CLEAN_ROWS or kept.mean() <= MIN_TRUSTED:
            continue
        after = case.score(case.mended.at(kept))
        if after != before:
            terms.append(_term(kind, None, after - before, None, int(kept.sum())))
        before = after
    return terms


def _threshold(case: Case, attribution: Attribution | None) -> list[GapTerm]:
    """What the honest gap loses when both splits are cut anew; a proven threshold is among the repairs already."""
    if attribution is not None and "metrics.decision_threshold" in attribution.values:
        return []
    gap = honest_gap(case)
    vanished = gap.uncut - gap.estimate
    return [_term("threshold", None, vanished, None, gap.n)] if vanished > 0 else []


def _input_shift(results: Mapping[str, CheckResult]) -> GapTerm | None:
    code = "preprocessing.distribution_shift"
    found = _of_estimate("input_shift", code, results[code].recovered) if code in results else []
    return found[0] if found else None


def _label_shift(case: Case) -> GapTerm | None:
    """The metric with the validation labels weighted to the training labels' distribution, where that is certain."""
    subject = honest_validation(case)
    if not case.is_regression:
        return _term("label_shift", None, 0.0, None, len(subject))
    if len(subject) < MIN_CLEAN_ROWS:
        return None
    edges = np.unique(np.quantile(case.train.labels, np.linspace(0, 1, LABEL_BINS + 1)[1:-1]))
    bins = len(edges) + 1
    shares = [
        np.bincount(np.searchsorted(edges, labels), minlength=bins) / len(labels)
        for labels in (case.train.labels, subject.labels)
    ]
    ratio = np.divide(shares[0], shares[1], out=np.zeros(bins), where=shares[1] > 0)
    weights = np.minimum(ratio, MAX_LABEL_WEIGHT)[np.searchsorted(edges, subject.labels)]

    def gain(counts: Array, y: Array, a: Array, w: Array) -> Array:
        return np.asarray(case.scorer.score_answers(y, a, counts * w) - case.scorer.score_answers(y, a, counts))

    columns = (subject.labels, case.scorer.answers(subject.predictions), weights)
    interval = quantile_interval(case.scorer.resample(columns, gain, case.rng("label shift"), subject.groups))
    if interval[0] <= 0:
        return None
    return _term("label_shift", None, float(gain(np.ones((1, len(subject))), *columns)[0]), interval, len(subject))


def _label_or_concept(case: Case, results: Mapping[str, CheckResult]) -> GapTerm | None:
    """What the control learner loses between the splits, less the input shift; where it loses for certain."""
    matrix = case.control
    names = ("train->train", "train->validation")
    if matrix.validation is None or any(matrix.intervals.get(name) is None for name in names):
        return None
    home, away = (cast(float, matrix.scores[name]) for name in names)
    intervals = [cast("tuple[float, float]", matrix.intervals[name]) for name in names]
    low, high = difference(home, intervals[0], away, intervals[1])
    shift = _input_shift(results)
    explained = shift.estimate if shift is not None else 0.0
    if low <= explained:
        return None
    return _term(
        "label_or_concept", None, home - away - explained, (low - explained, high - explained), len(matrix.validation)
    )
