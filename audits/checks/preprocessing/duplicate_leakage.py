"""Validation rows that the model was trained on.

What it measures: the share of validation rows whose features, to six significant digits, stand in the training
    data (over all rows), or that lie closer to a training row with the same texts than training rows lie to each
    other (on the sample); against the share that the training rows reach among themselves, since tables of few
    values repeat by chance. Where features alone repeat that often, copies are rows of the same label as well.
    Images are reduced to some hundred values and freed of their brightness and contrast; near copies are those that
    correlate with a training image almost perfectly. The metric without the copies, and its inflation by them, with
    a paired bootstrap interval.
Why it matters: a model recites what it has seen. A metric over copies measures memory, not generalisation.
When it is inconclusive: the inflation, when fewer than `min_rows` clean validation rows are left.
How to fix: remove duplicates before splitting, and split by the entity behind the rows.
Reference: Barz & Denzler, 2020, https://doi.org/10.3390/jimaging6060041; Northcutt, Jiang & Chuang, 2021,
    https://doi.org/10.1613/jair.1.12125; Lowe, 2004, https://doi.org/10.1023/B:VISI.0000029664.99615.94
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.evidence.copies import among, shared
from audits.evidence.images import ImageForm, reduced
from audits.evidence.row_fingerprints import with_labels
from audits.evidence.scoring import quantile_interval
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics.intervals import rule_of_three, wilson
from schemas.limits.preprocessing import DuplicateLeakage
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.duplicate_leakage"
MIN_CLEAN_ROWS = 20
MAX_NEIGHBOUR_ROWS = 5_000
MAX_TREE_COLUMNS = 15
# The nearest rows may differ in their texts.
NEIGHBOURS = 5
# An average of so many values is untouched by noise, recompression and small shifts.
MAX_IMAGE_VALUES = 256
# Pictures of one kind resemble each other: all but this share of the training images are told apart ...
MAX_ALIKE = 0.01
# ... unless only a correlation as of a picture with itself could.
MAX_CORRELATION = 0.998
# An image is also a copy where it is less than this share as far from one as from the next (Lowe, 2004).
DISTINCT, MIN_DISTINCT = 0.3, 0.9
MIN_IMAGES = 10
CHUNK = 1_000
# Relative to its largest value, an image that varies by less is of one value.
FLAT = 1e-6


def duplicate_leakage(case: Case) -> CheckResult:
    """Compare validation rows with training rows, exactly on all and nearly on the sample."""
    limits = cast(DuplicateLeakage, case.limits[CODE])
    exact, near = _exact(case), _near(case, limits)
    beyond_chance = [found for found in (exact, near) if found.is_beyond_chance(limits)]
    rows = near.rows | exact.rows[case.validation.sample.index]
    if not beyond_chance:
        labelled = _exact_with_labels(case)
        beyond_chance = [labelled] if labelled.is_beyond_chance(limits) else []
        rows = labelled.rows[case.validation.sample.index]
    if not beyond_chance:
        return CheckResult.passed(smallest=max(limits.min_share, rule_of_three(case.validation.n)))
    copies = max(beyond_chance, key=lambda found: found.share)
    low, high = copies.interval
    by_chance = copies.chance
    inflation, clean_rows = _inflation(case, rows)
    summary = (
        f"{copies.share:.0%} of the validation rows are {copies.kind} copies of training rows"
        + (f" ({copies.among} it is {by_chance:.1%})" if by_chance > 0 else "")
        + "."
    )
    # a row or two are no leak to speak of
    severity = _severity(copies.share, inflation, limits) if low > limits.min_share else Severity.INFO
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=severity,
        title="Validation rows were trained on",
        summary=summary,
        effect=Effect(
            name="share_of_validation_rows_in_training",
            estimate=copies.share,
            interval=(low, high),
            limit=limits.min_share,
        ),
        n=len(copies.rows),
        affected=Affected(rows=[int(i) for i in copies.numbers[:100]], share_of_rows=copies.share),
        evidence={
            "copies": int(copies.rows.sum()),
            "kind": copies.kind,
            "share_by_chance": by_chance,
            "decontaminated": None
            if inflation is None
            else {"metric": case.scorer.metric, "rows": clean_rows, **_as_json(inflation)},
        },
        remedy=_remedy(case),
    )
    if severity is Severity.INFO:
        return CheckResult(
            Outcome.PASS,
            "a few copies, too few to move the metric",
            finding=finding,
            ranks=False,
            smallest_visible_effect=high,
        )
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=None if inflation is None else _confirmation(case, inflation, clean_rows),
        explanation=summary + _sentence(case, inflation),
    )


@dataclass(frozen=True)
class _Copies:
    """Which validation rows have a copy among the training rows."""

    kind: str
    rows: Array  # (rows,) bool
    numbers: Array  # their row numbers
    chance: float  # share of rows with a copy among others of their own split
    among: str = "within the training data"  # whose share that is

    @property
    def share(self) -> float:
        return float(self.rows.mean()) if len(self.rows) else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(int(self.rows.sum()), len(self.rows))

    def is_beyond_chance(self, limits: DuplicateLeakage) -> bool:
        return self.share > limits.min_share and self.interval[0] > limits.min_ratio * self.chance


def _exact(case: Case) -> _Copies:
    return _Copies("exact", case.seen, np.flatnonzero(case.seen), shared(case.train.marks))


def _exact_with_labels(case: Case) -> _Copies:
    """Rows of few values share their features by chance, and hardly ever the label of a quantity as well."""
    train, validation = (with_labels(s.fingerprints, s.labels) for s in (case.train, case.validation))
    train.sort()
    rows = among(validation, train)
    return _Copies("exact", rows, np.flatnonzero(rows), shared(train))


def _near(case: Case, limits: DuplicateLeakage) -> _Copies:
    """Rows of the validation sample that lie next to a training row.

    In standardised features; the limit is a share of the median distance between nearest training neighbours.
    """
    subject, reference = case.validation.sample, case.train.sample
    form = ImageForm.of(case.space, subject.rows)
    if form is not None:
        return _near_images(subject, cast("Array", reference.rows), form, limits)
    nothing = _Copies("near", np.zeros(len(subject), dtype=bool), np.empty(0, dtype=np.int64), 0.0)
    encode = case.encoder
    every = slice(None, None, max(1, len(reference) // MAX_NEIGHBOUR_ROWS))
    train, validation = encode(reference.rows[every]), encode(subject.rows)
    spread = train.std(axis=0)
    train, validation = (values[:, spread > 0] / spread[spread > 0] for values in (train, validation))
    if train.shape[1] < 2 or len(train) < 10:
        return nothing
    # trees are slower than comparing all pairs in more than some fifteen dimensions
    algorithm = "brute" if train.shape[1] > MAX_TREE_COLUMNS else "kd_tree"
    index = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(train)), algorithm=algorithm).fit(train)
    (own, own_at), (away, away_at) = index.kneighbors(train), index.kneighbors(validation)
    nearest = np.where(own_at[:, 0] == np.arange(len(train)), own[:, 1], own[:, 0])
    typical = float(np.median(nearest[nearest > 0])) if (nearest > 0).any() else 0.0
    radius = limits.near_distance * typical
    texts, other_texts = _texts(case, reference.rows)[every], _texts(case, subject.rows)
    rows = ((away < radius) & (texts[away_at] == other_texts[:, None])).any(axis=1)
    alike = (own < radius) & (texts[own_at] == texts[:, None]) & (own_at != np.arange(len(train))[:, None])
    # where many training rows are that close to each other, closeness is no sign of copying
    return _Copies("near", rows, subject.index[rows], float(alike.any(axis=1).mean()))


def _texts(case: Case, rows: Rows) -> Array:
    """(rows,) a number for what stands in the columns of texts: rows that differ there are no copies."""
    if not case.space.texts:
        return np.zeros(len(rows), dtype=np.uint64)
    frame = cast("pd.DataFrame", rows)[list(case.space.texts)]
    return np.asarray(pd.util.hash_pandas_object(frame, index=False).to_numpy())


def _near_images(subject: Subject, reference: Array, form: ImageForm, limits: DuplicateLeakage) -> _Copies:
    """Images of the validation sample that are a training image but for noise, compression, brightness, contrast."""
    train = _without_light(reference[:: max(1, len(reference) // MAX_NEIGHBOUR_ROWS)], form)
    if len(train) < MIN_IMAGES:
        return _Copies("near", np.zeros(len(subject), dtype=bool), np.empty(0, dtype=np.int64), 0.0)
    own = _two_largest_correlations(train, train, same=True)
    # where pictures of one kind are all alike, a copy must be more so
    least = min(max(limits.min_correlation, float(np.quantile(own[:, 0], 1 - MAX_ALIKE))), MAX_CORRELATION)
    images = _without_light(cast("Array", subject.rows), form)
    rows = _is_copy(_two_largest_correlations(images, train), least)
    # blurred images are more alike than sharp ones: what they find among themselves is chance, too
    some = images[:: max(1, len(images) // MAX_NEIGHBOUR_ROWS)]
    alike = _is_copy(_two_largest_correlations(some, some, same=True), least).mean() if len(some) > 2 else 0.0
    by_chance = max(float(_is_copy(own, least).mean()), float(alike) * max(1.0, len(train) / len(some)))
    return _Copies("near", rows, subject.index[rows], min(by_chance, 1.0), "within one split")


def _is_copy(largest: Array, least: float) -> Array:
    """(images,) whether an image is nearly the other, or nearer to it by far than to the next best."""
    first, second = largest.T
    return np.asarray((first > least) | ((first > MIN_DISTINCT) & (1 - first < DISTINCT * (1 - second))))


def _without_light(rows: Array, form: ImageForm) -> Array:
    """(images, values) float32 of mean 0 and length 1; zeros for an image of one value."""
    small = reduced(form.images(rows), MAX_IMAGE_VALUES).reshape(len(rows), -1)
    small = np.where(np.isfinite(small), small, 0.0)
    size = np.abs(small).max(initial=1e-300)
    small -= small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    flat = length <= FLAT * size
    return np.where(flat, 0.0, small / np.where(flat, 1.0, length)).astype(np.float32)


def _two_largest_correlations(images: Array, others: Array, *, same: bool = False) -> Array:
    """(images, 2) the correlations with the two most similar of the others; `same` leaves out each one itself."""
    largest = []
    for first in range(0, len(images), CHUNK):
        correlations = images[first : first + CHUNK] @ others.T
        if same:
            np.fill_diagonal(correlations[:, first:], -1.0)
        largest.append(-np.partition(-correlations, 1, axis=1)[:, :2])
    return np.concatenate(largest)


def _inflation(case: Case, copies: Array) -> tuple[Estimate | None, int]:
    """Metric of all sampled validation rows minus that of the rows without a copy, paired by resampling."""
    subject = case.validation.sample
    clean = ~copies
    answers = case.scorer.answers(subject.predictions)
    enough = clean.sum() >= MIN_CLEAN_ROWS
    if not enough or (
        not case.is_regression and len(np.unique(subject.labels[clean])) < len(np.unique(subject.labels))
    ):
        return None, int(clean.sum())

    def difference(weights: Array, y: Array, a: Array, clean_row: Array) -> Array:
        return case.scorer.score_answers(y, a, weights) - case.scorer.score_answers(y, a, weights * clean_row)

    columns = (subject.labels, answers, clean)
    draws = case.scorer.resample(columns, difference, case.rng("inflation"), subject.groups)
    point = float(difference(np.ones((1, len(subject))), *columns)[0])
    return Estimate(estimate=point, interval=quantile_interval(draws), n=len(subject)), int(clean.sum())


def _severity(share: float, inflation: Estimate | None, limits: DuplicateLeakage) -> Severity:
    if share >= limits.critical_share:
        return Severity.CRITICAL
    proven = inflation is not None and inflation.interval is not None and inflation.interval[0] > limits.min_inflation
    return Severity.CRITICAL if proven else Severity.WARNING


def _confirmation(case: Case, inflation: Estimate, clean_rows: int) -> Confirmation:
    """The copies are there for certain; what is tested is whether the metric falls without them."""
    before = case.score(case.validation.sample)
    return Confirmation(
        confirmed=True,
        intervention=f"leave out the copies ({clean_rows} validation rows remain)",
        metric=case.scorer.metric,
        before=before,
        after=before - cast(float, inflation.estimate),
        gain_interval=None if inflation.interval is None else (-inflation.interval[1], -inflation.interval[0]),
        n=len(case.validation.sample),
    )


def _sentence(case: Case, inflation: Estimate | None) -> str:
    if inflation is None or inflation.interval is None:
        return " Too few clean rows are left to say what the metric is without them."
    before = case.score(case.validation.sample)
    low, high = inflation.interval
    after = before - cast(float, inflation.estimate)
    return (
        f" Without them, {case.scorer.title} is {after:.2f} instead of {before:.2f} "
        f"(inflation {low:+.3f} to {high:+.3f})."
    )


def _as_json(estimate: Estimate) -> dict[str, float | list[float] | None]:
    return {
        "inflation": estimate.estimate,
        "interval": list(estimate.interval) if estimate.interval else None,
    }


def _remedy(case: Case) -> Remedy:
    text = (
        "Remove duplicates before splitting; where several rows describe one entity, split by entity. Report the "
        "metric on the clean rows until then."
    )
    if case.space.layout != "table":
        code = (
            "import numpy as np\n\n"
            "def without_copies(x_train: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:\n"
            "    seen = {row.tobytes() for row in np.ascontiguousarray(x_train, dtype='float32')}\n"
            "    clean = np.array([row.tobytes() not in seen for row in np.ascontiguousarray(x, dtype='float32')])\n"
            "    return x[clean], y[clean]\n"
        )
        return Remedy(text=text, code=code)
    features = [*case.space.units, *case.space.texts][:200]
    code = (
        "import pandas as pd\n\n"
        + constant("FEATURES", features)
        + "def without_copies(train: pd.DataFrame, validation: pd.DataFrame, digits: int = 2) -> pd.DataFrame:\n"
        "    def keys(frame: pd.DataFrame) -> pd.Series:\n"
        "        return pd.util.hash_pandas_object(frame[FEATURES].round(digits), index=False)\n"
        "    return validation[~keys(validation).isin(set(keys(train)))]\n"
    )
    return Remedy(text=text, code=code)
