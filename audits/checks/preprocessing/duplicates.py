"""The training data repeat themselves.

What it measures: over all training rows, the share whose features, to six significant digits, stand in an earlier
    training row, against the share that such columns give by chance and that validation rows have with training
    rows; how many of them carry another label than their copy; the effective number of rows; and the training metric
    with every distinct row counted once, with a bootstrap interval of the difference over sets of copies.
Why it matters: a row that stands there five times is learned five times as hard, and counts five times in the
    training metric. Copies that are split between training and validation leak, and copies with different labels
    cannot both be learned.
When it is inconclusive: never; a copy is a copy. Tables of few values, which repeat by chance, are left alone.
How to fix: drop the copies, or keep one with a weight; settle contradicting labels; where a class was oversampled, do
    it after the split and prefer class weights.
Reference: Lee et al., 2022, https://doi.org/10.18653/v1/2022.acl-long.577; Kish, 1965, Survey Sampling
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.copies import repeated
from audits.evidence.labels import UNKNOWN
from audits.evidence.scoring import quantile_interval
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics.intervals import wilson
from audits.statistics.shift import effective_sample_size
from schemas.limits.preprocessing import Duplicates
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.duplicates"
MAX_LISTED = 100
MAX_COLUMNS = 512
# Copies of one class alone that bring it up to the others were made on purpose.
OVERSAMPLED_SHARE = 0.9


def duplicates(case: Case) -> CheckResult:
    """Count the copies among the training rows, and ask what they change."""
    limits = cast(Duplicates, case.limits[CODE])
    chance = _by_chance(case)
    low, high = wilson(repeated(case.train.marks), case.train.n)
    if low <= max(limits.min_share, limits.min_ratio * chance):
        return CheckResult.passed(smallest=limits.min_share, margin=limits.min_share)
    copies = _Copies.of(case)
    inflation = _inflation(case, copies)
    conflicting = copies.conflicts(case)
    oversampled = copies.oversampled(case)
    summary = (
        f"{copies.share:.0%} of the training rows repeat an earlier one: {copies.n:,} rows hold {copies.distinct:,} "
        f"different ones, which weigh as much as {copies.effective:,.0f} rows would."
    )
    if oversampled is not None:
        summary += f" Nearly all copies are of {oversampled}: it was oversampled."
    if conflicting:
        summary += f" {conflicting} rows carry another label than their copies."
    loud = oversampled is None and (
        copies.share >= limits.large_share
        or wilson(conflicting, copies.n)[0] > limits.max_conflicts
        or _is_material(inflation, limits)
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.WARNING if loud else Severity.INFO,
        title="The training data repeat themselves",
        summary=summary,
        effect=Effect(
            name="share_of_repeated_rows", estimate=copies.share, interval=(low, high), limit=limits.min_share
        ),
        n=copies.n,
        affected=Affected(
            split="train",
            rows=[int(i) for i in np.flatnonzero(copies.repeats)[:MAX_LISTED]],
            share_of_rows=copies.share,
        ),
        evidence={
            "distinct_rows": copies.distinct,
            "effective_rows": copies.effective,
            "most_copies_of_one_row": int(copies.counts.max()),
            "share_by_chance": chance,
            "rows_with_contradicting_labels": conflicting,
            "oversampled_class": oversampled,
            "as_is_minus_distinct": {
                "metric": case.scorer.metric,
                "estimate": inflation.estimate,
                "interval": list(cast("tuple[float, float]", inflation.interval)),
            },
        },
        remedy=_remedy(case),
    )
    return CheckResult(
        Outcome.FAIL if loud else Outcome.PASS,
        None if loud else "observed; the copies change little",
        finding=finding,
        confirmation=_confirmation(case, copies, inflation) if loud else None,
        explanation=summary + _sentence(case, inflation),
        ranks=loud,
    )


@dataclass(frozen=True)
class _Copies:
    """Training rows by what they repeat.

    Attributes:
        which: (rows,) number of the distinct row.
        counts: (distinct,) how often each stands there.
        repeats: (rows,) True for every copy but the first.
    """

    which: Array
    counts: Array
    repeats: Array

    @classmethod
    def of(cls, case: Case) -> "_Copies":
        _, first, which, counts = np.unique(
            case.train.fingerprints, return_index=True, return_inverse=True, return_counts=True
        )
        repeats = np.ones(len(which), dtype=bool)
        repeats[first] = False
        return cls(which, counts, repeats)

    @property
    def n(self) -> int:
        return len(self.which)

    @property
    def distinct(self) -> int:
        return len(self.counts)

    @property
    def share(self) -> float:
        return (self.n - self.distinct) / max(1, self.n)

    @property
    def effective(self) -> float:
        """Distinct rows of equal weight that carry as much information as these (Kish)."""
        return effective_sample_size(self.counts)

    @property
    def weights(self) -> Array:
        """(rows,) by which every distinct row counts once."""
        return np.asarray(1.0 / self.counts[self.which])

    def conflicts(self, case: Case) -> int:
        """Rows that are in the minority among the labels of their copies; 0 for a regression."""
        labels = case.train.labels
        if case.is_regression:
            return 0
        known = labels != UNKNOWN
        pairs, sizes = np.unique(np.stack([self.which[known], labels[known]]), axis=1, return_counts=True)
        most = np.zeros(self.distinct, dtype=np.int64)
        np.maximum.at(most, pairs[0], sizes)
        return int(known.sum() - most.sum())

    def oversampled(self, case: Case) -> str | None:
        """The class that was repeated to bring its share up to that of the others, or None."""
        if case.is_regression or not self.repeats.any():
            return None
        labels, classes = case.train.labels, case.labels.n_classes
        of_copies = np.bincount(labels[self.repeats & (labels != UNKNOWN)], minlength=classes)
        before = np.bincount(labels[~self.repeats & (labels != UNKNOWN)], minlength=classes)
        k = int(of_copies.argmax())
        if of_copies[k] < OVERSAMPLED_SHARE * of_copies.sum() or before[k] >= before.sum() / classes:
            return None
        return case.labels.names[k]


def _by_chance(case: Case) -> float:
    """Share of rows that repeat another in tables of few values; the larger of two estimates.

    Rows that repeat each other by nature do so between the splits as well. And where each column takes its values
    independently, the chance that two rows agree is the product over the columns; its square root allows for as much
    dependence between them as halves the information.
    """
    between = float(case.seen.mean())
    return max(between, _of_independent_columns(case))


def _of_independent_columns(case: Case) -> float:
    rows = case.train.sample.rows
    n = case.train.n
    if isinstance(rows, pd.DataFrame):
        columns = [rows[name].to_numpy() for name in rows.columns]
    else:
        flat = np.asarray(rows).reshape(len(rows), -1)
        # fewer columns only make it likelier that two rows agree
        columns = [flat[:, j] for j in range(0, flat.shape[1], -(-flat.shape[1] // MAX_COLUMNS))]
    logarithm = 0.0
    for column in columns:
        sizes = np.unique(pd.factorize(column, use_na_sentinel=False)[0], return_counts=True)[1]
        # pairs of rows that agree; at least one, so that a column without repeats is not taken for infinite
        agreeing = max(float((sizes * (sizes - 1)).sum()), 2.0) / max(1.0, len(column) * (len(column) - 1.0))
        logarithm += np.log(min(agreeing, 1.0))
    return float(-np.expm1(-n * np.exp(logarithm / 2)))


def _inflation(case: Case, copies: _Copies) -> Estimate:
    """Training metric as it is minus that of the distinct rows, resampled by sets of copies."""
    train = case.train
    answers = case.scorer.answers(train.predictions)

    def difference(weights: Array, y: Array, a: Array, once: Array) -> Array:
        return case.scorer.score_answers(y, a, weights) - case.scorer.score_answers(y, a, weights * once)

    at = np.arange(copies.n)
    if copies.n > len(train.sample):
        at = np.sort(case.rng("duplicates").choice(copies.n, len(train.sample), replace=False))
    columns = (train.labels, answers, copies.weights)
    point = float(difference(np.ones((1, copies.n)), *columns)[0])
    part = tuple(column[at] for column in columns)
    draws = case.scorer.resample(part, difference, case.rng("duplicates inflation"), copies.which[at])
    low, high = quantile_interval(draws)
    # what is left out of a large file only widens the interval
    middle = float(np.nanmedian(draws))
    return Estimate(estimate=point, interval=(point + low - middle, point + high - middle), n=copies.n)


def _is_material(inflation: Estimate, limits: Duplicates) -> bool:
    low, high = cast("tuple[float, float]", inflation.interval)
    return low > limits.min_inflation or high < -limits.min_inflation


def _confirmation(case: Case, copies: _Copies, inflation: Estimate) -> Confirmation:
    """The copies are there for certain; what is tested is whether the training metric changes without them."""
    before = case.train_score[0]
    low, high = cast("tuple[float, float]", inflation.interval)
    return Confirmation(
        confirmed=True,
        intervention=f"count every one of the {copies.distinct} distinct training rows once",
        metric=case.scorer.metric,
        before=before,
        after=before - cast(float, inflation.estimate),
        gain_interval=(-high, -low),
        n=copies.n,
    )


def _sentence(case: Case, inflation: Estimate) -> str:
    before = case.train_score[0]
    return (
        f" With every distinct row counted once, the training {case.scorer.title} is "
        f"{before - cast(float, inflation.estimate):.3f} instead of {before:.3f}."
    )


def _remedy(case: Case) -> Remedy:
    text = (
        "Drop the copies before splitting, settle rows with contradicting labels by hand, and train again. Where a "
        "class was oversampled, use class weights instead, or oversample after the split."
    )
    if case.space.layout != "table":
        code = (
            "import numpy as np\n\n"
            "def without_repeats(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:\n"
            "    rows = np.ascontiguousarray(x, dtype='float32').reshape(len(x), -1)\n"
            "    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])\n"
            "    return x[first], y[first]\n"
        )
        return Remedy(text=text, code=code)
    code = (
        "import pandas as pd\n\n"
        + constant("FEATURES", [*case.space.units, *case.space.texts][:200])
        + "def without_repeats(table: pd.DataFrame) -> pd.DataFrame:\n"
        "    return table.drop_duplicates(FEATURES)\n"
    )
    return Remedy(text=text, code=code)
