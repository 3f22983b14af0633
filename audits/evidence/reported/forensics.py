"""Where a reported number comes from, when it is not what the model gives on the rows that it names.

Every way in which such a number usually goes astray is recomputed exactly: the wrong split, copies left out, another
average, another threshold, the classes turned around, the mean over batches, another metric. What hits the number
within its rounding is a candidate; the fewest mistakes explain it best.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from scipy.stats import norm

from audits.artefacts import Array, SplitName
from audits.evidence.case import Case, SplitEvidence, Subject
from audits.evidence.labels import UNKNOWN
from audits.evidence.reported.names import Reading, read_name
from audits.evidence.reported.table import METRICS, Judged, Metric
from audits.evidence.scoring import quantile_interval
from audits.evidence.thresholds import best_f1_threshold, best_threshold
from audits.statistics import resampling
from audits.statistics.intervals import wilson
from schemas.request import ReportedMetric

BATCH = 32
MAX_BATCHED_ROWS = 20_000
# Beyond so many rows, two mistakes at once are not searched for: every candidate looks at all rows.
MAX_PAIRED_ROWS = 100_000
# The bootstrap of metrics that sort is made on so many rows, and narrowed to what all would give.
MAX_RESAMPLED = 2000
RESAMPLES = 500
# A unique hit is believed while chance alone would make fewer than this many; with two mistakes, or where the
# number would else pass for noise, it takes more.
MAX_CHANCE_HITS = 0.25
FEW_CHANCE_HITS = 0.02
FLOAT32_ROUNDING = 1e-5
# What a mistake costs an explanation: the wrong split or average is the usual one, the others need more belief.
USUAL, UNUSUAL, MOST = 2, 3, 6


@dataclass(frozen=True)
class Claim:
    """A reported number, read.

    Attributes:
        name: as reported.
        value: in the metric's own unit: a share, where per cent were given.
        tolerance: half a unit of its last digit.
        split: that it is said to be of.
        metrics: what the name may mean.
        loose: whether the name says little: a `loss` holds whatever the training minimised.
    """

    name: str
    value: float
    tolerance: float
    split: SplitName
    metrics: tuple[str, ...]
    loose: bool


@dataclass(frozen=True)
class Match:
    """A computation that gives the reported number.

    Attributes:
        text: what was computed, to follow "the number is the ...".
        value: what it gives.
        cost: of the mistakes that it supposes.
        metric: which one it is.
    """

    text: str
    value: float
    cost: int
    metric: str


@dataclass(frozen=True)
class Search:
    """All matches of the least cost, and how many hits chance alone would have made up to there."""

    matches: tuple[Match, ...]
    by_chance: float

    @property
    def proven(self) -> Match | None:
        """The only explanation, where a number of so few digits could hardly be hit by chance."""
        if len(self.matches) != 1:
            return None
        most = MAX_CHANCE_HITS if self.matches[0].cost <= UNUSUAL else FEW_CHANCE_HITS
        return self.matches[0] if self.by_chance <= most else None

    @property
    def certain(self) -> bool:
        """Whether the explanation alone shows that the number is no noise."""
        return self.proven is not None and self.matches[0].cost <= UNUSUAL and self.by_chance <= FEW_CHANCE_HITS


def read_claim(case: Case, reported: ReportedMetric) -> Claim | None:
    """The claim, or None where there is no number or nobody knows the name."""
    reading = reading_of(case, reported)
    if reported.value is None or not reading.metrics:
        return None
    bounded = METRICS[reading.metrics[0]].family == "performance"
    value, unit = float(reported.value), 1.0
    if reported.name.casefold().startswith("neg_"):
        value = abs(value)
    # no share exceeds 1, so that such a number is in per cent; far below 0 it is an R2 as it is
    if bounded and 1 < value <= 100:
        unit = 0.01
    digits = max(0, -int(Decimal(repr(value)).normalize().as_tuple().exponent))
    if bounded and unit == 1.0:
        digits = max(digits, 2)  # 0.9 and 1.0 are 0.90 and 1.00
    tolerance = max(0.5 * 10.0**-digits * unit, FLOAT32_ROUNDING * max(1.0, abs(value * unit)))
    split = reading.split or reported.split
    return Claim(reported.name, value * unit, tolerance, split, reading.metrics, reading.spelling == "loss")


def reading_of(case: Case, reported: ReportedMetric) -> Reading:
    return read_name(reported.name, case.labels.task, scores=has_scores(case))


def has_scores(case: Case) -> bool:
    return not case.is_regression and case.meaning.kind != "class"


def judged(case: Case, rows: SplitEvidence | Subject) -> Judged:
    """The rows with a known label."""
    known = _known(case, rows)
    answers, probabilities = case.scorer.answers(rows.predictions), rows.predictions.probabilities
    return Judged(
        rows.labels[known],
        answers[known],
        probabilities[known] if probabilities is not None and has_scores(case) else None,
        case.labels.n_classes,
    )


def weighted(case: Case, split: SplitEvidence) -> Judged:
    """The same rows with the weights that the request names."""
    return replace(judged(case, split), weights=split.roles["weight"][_known(case, split)])


def groups_of(case: Case, rows: SplitEvidence | Subject) -> Array | None:
    """Group codes of the rows that `judged` keeps."""
    return None if rows.groups is None else rows.groups[_known(case, rows)]


def _known(case: Case, rows: SplitEvidence | Subject) -> Array:
    """(rows,) whether the label is a class or a quantity."""
    return np.isfinite(rows.labels) if case.is_regression else np.asarray(rows.labels != UNKNOWN)


# Intervals


def interval(
    metric: Metric, rows: Judged, rng: np.random.Generator, groups: Array | None = None
) -> tuple[float, float]:
    """95 % bootstrap interval, over whole groups where there are any.

    A share that is 0 or 1 in every resample has the width of Wilson's interval all the same.
    """
    point = metric(rows)
    step = max(1, len(rows) // MAX_RESAMPLED)
    some = rows.at(np.arange(0, len(rows), step))
    chunks = resampling.count_chunks(
        len(some), rng, n_resamples=RESAMPLES, groups=None if groups is None else groups[::step]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = 1.0 if some.weights is None else some.weights
        draws = np.concatenate([np.atleast_1d(metric.compute(some, counts * weights)) for counts in chunks])
    if not np.isfinite(point) or not np.isfinite(draws).any():
        return point, point
    centre, shrink = float(np.nanmedian(draws)), step**-0.5
    low, high = (point + (end - centre) * shrink for end in quantile_interval(draws))
    low, high = min(low, point), max(high, point)
    if low == high and metric.family == "performance" and rows.n_classes and rows.weights is None:
        counts = np.bincount(rows.labels, minlength=rows.n_classes)
        n = int(counts[counts > 0].min()) * rows.n_classes
        return wilson(float(np.clip(point, 0, 1)) * n, n)
    return low, high


def stretched(estimate: float, bounds: tuple[float, float], claims: int) -> tuple[float, float]:
    """The 95 % interval as it is for all claims together."""
    factor = float(norm.ppf(1 - 0.025 / max(1, claims)) / norm.ppf(0.975))
    return estimate - factor * (estimate - bounds[0]), estimate + factor * (bounds[1] - estimate)


# Search


@dataclass(frozen=True)
class _Choice:
    """Rows to compute on: how they read in a sentence, and the cost of the mistakes that led to them."""

    text: str
    rows: Judged
    cost: int


def search(case: Case, claim: Claim) -> Search:
    """All simplest computations that give the reported number."""
    every = list(_candidates(case, claim))
    candidates = [one for one in every if one.cost]
    for cost in sorted({one.cost for one in candidates}):
        looked_at = _distinct([one for one in candidates if one.cost <= cost])
        matches = [one for one in looked_at if abs(one.value - claim.value) <= claim.tolerance]
        if matches:
            values = [one.value for one in every if one.cost <= cost and np.isfinite(one.value)]
            spread = max(float(np.ptp(values)), 4 * claim.tolerance)
            return Search(tuple(matches), len(looked_at) * 2 * claim.tolerance / spread)
    return Search((), 0.0)


def _distinct(candidates: list[Match]) -> list[Match]:
    """One of each value: micro F1 and accuracy are the same number, not two explanations."""
    kept: list[Match] = []
    for one in candidates:
        if np.isfinite(one.value) and not any(abs(one.value - other.value) < 1e-9 for other in kept):
            kept.append(one)
    return kept


def _candidates(case: Case, claim: Claim) -> Iterator[Match]:
    names = _costs_of_metrics(case, claim)
    for view in _views(case, claim.split):
        most = MOST if len(view.rows) <= MAX_PAIRED_ROWS else UNUSUAL
        for choice in _variants(case, view):
            for name, other in names.items():
                cost = choice.cost + other
                if cost <= most:
                    yield Match(f"{METRICS[name].title} {choice.text}", METRICS[name](choice.rows), cost, name)
        if view.cost + UNUSUAL <= most and BATCH < len(view.rows) <= MAX_BATCHED_ROWS:
            for name in claim.metrics:
                text = f"mean over batches of {BATCH} of the {METRICS[name].title} {view.text}"
                yield Match(text, _mean_of_batches(METRICS[name], view.rows), view.cost + UNUSUAL, name)


def _costs_of_metrics(case: Case, claim: Claim) -> dict[str, int]:
    """Metrics that may stand behind the number: those that the name may mean, other averages, and other metrics."""
    stated = METRICS[claim.metrics[0]]
    base = claim.metrics[0].partition("_")[0]
    costs = dict.fromkeys(claim.metrics, 0)
    for name, metric in METRICS.items():
        applies = metric.family == stated.family and metric.applies(case.labels.task, scores=has_scores(case))
        if applies and name not in costs:
            costs[name] = USUAL if name.partition("_")[0] == base else UNUSUAL
    return costs


def _views(case: Case, stated: SplitName) -> list[_Choice]:
    of = {"train": judged(case, case.train), "validation": judged(case, case.validation)}
    names: dict[SplitName, str] = {"train": "on the training rows", "validation": "on the validation rows"}
    other: SplitName = "train" if stated == "validation" else "validation"
    views = [
        _Choice(names[stated], of[stated], 0),
        _Choice(names[other], of[other], USUAL),
        _Choice("on training and validation rows together", of["train"].joined(of["validation"]), UNUSUAL),
    ]
    if case.request.data.weight is not None:
        text = f"{names[stated]}, weighted by {case.request.data.weight}"
        views.append(_Choice(text, weighted(case, case.train if stated == "train" else case.validation), USUAL))
    fresh = fresh_rows(case)
    if not fresh.all() and fresh.any():
        clean = _split_at(case.validation, fresh)
        text = "on the validation rows that are no copies of training rows"
        views.append(_Choice(text, judged(case, clean), USUAL))
    return views


def fresh_rows(case: Case) -> Array:
    """(validation rows,) False for exact copies of training rows."""
    return ~case.seen


def _split_at(split: SplitEvidence, which: Array) -> SplitEvidence:
    return replace(
        split,
        labels=split.labels[which],
        predictions=split.predictions.at(which),
        fingerprints=split.fingerprints[which],
        roles={name: values[which] for name, values in split.roles.items()},
    )


def _variants(case: Case, view: _Choice) -> Iterator[_Choice]:
    """The view as it is, at other thresholds, and with the classes turned around."""
    yield view
    rows, cost = view.rows, view.cost + UNUSUAL
    if rows.n_classes != 2:
        return
    if rows.probabilities is not None:
        for text, cut in _thresholds(case):
            answers = np.where(rows.answers < 0, -1, (rows.probabilities[:, 1] >= cut).astype(np.int64))
            yield _Choice(f"{view.text}, cut at {text}", replace(rows, answers=answers), cost)
    turned = replace(
        rows,
        answers=np.where(rows.answers < 0, -1, 1 - rows.answers),
        probabilities=None if rows.probabilities is None else rows.probabilities[:, ::-1],
    )
    yield _Choice(f"{view.text}, with the two classes taken for each other", turned, cost)


def _thresholds(case: Case) -> list[tuple[str, float]]:
    train = judged(case, case.train)
    assert train.probabilities is not None  # noqa: S101 - the caller has looked
    scores = train.probabilities[:, 1]
    choose: list[tuple[str, Callable[[Array, Array], float]]] = [
        ("the threshold of the best balanced accuracy in training", best_threshold),
        ("the threshold of the best F1 in training", best_f1_threshold),
    ]
    cuts = [(text, function(train.labels, scores)) for text, function in choose]
    named = [(f"{text} ({cut:.3g})", cut) for text, cut in cuts]
    return named + ([("0.5", 0.5)] if case.meaning.threshold != 0.5 else [])


def _mean_of_batches(metric: Metric, rows: Judged) -> float:
    """As a training loop that averages what each batch gave."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.array(
            [metric(rows.at(np.arange(first, min(first + BATCH, len(rows))))) for first in range(0, len(rows), BATCH)]
        )
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
