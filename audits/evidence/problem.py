"""What kind of problem this is, and which metrics suit it.

The choice follows Maier-Hein et al., 2024 (https://doi.org/10.1038/s41592-023-02151-z): from properties of the
problem to metrics, each with its reason; regression is added in the same spirit.
"""

from dataclasses import asdict, dataclass

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case, SplitEvidence
from audits.evidence.labels import UNKNOWN
from audits.evidence.reported.forensics import has_scores
from schemas.base import finite
from schemas.report import Recommendation

# A class below this share makes the problem imbalanced, and accuracy a poor choice.
IMBALANCED = 0.2
MAX_CLASSES_TOLD = 100
# A target is near zero below this share of the median size.
NEAR_ZERO = 0.05
# A Hill tail index below 4: the squared errors have no steady mean square.
HEAVY_TAIL = 4.0
TAIL_SHARE = 0.05
MIN_TAIL_ROWS = 10
# So large a share of one value at the very end is where the scale ends, not the population.
CAP_SHARE = 0.01
MIN_CAP_ROWS = 5


@dataclass(frozen=True)
class TargetShape:
    """The targets of a regression.

    Attributes:
        zero_share: of exact zeros in the validation data.
        near_zero_share: below 5 % of the median size in the validation data.
        smallest_size: min |y| of the validation data.
        range_ratio: deviation of the validation targets over that of the training targets.
        tail_index: Hill's, of the sizes of the training targets about their median; None with few rows.
        heavy_tail: whether it is below 4.
        capped_at: a maximum at which the training targets pile up, or None.
    """

    zero_share: float
    near_zero_share: float
    smallest_size: float
    range_ratio: float | None
    tail_index: float | None
    heavy_tail: bool
    capped_at: float | None


@dataclass(frozen=True)
class Fingerprint:
    """The properties that a choice of metrics rests on.

    Attributes:
        task, classes: binary, multiclass or regression, and how many classes.
        n: rows of each split.
        class_shares: split -> class -> share of the rows with a known label; at most 100 classes.
        n_per_class: likewise, rows.
        imbalance_ratio: largest over smallest class of the validation data; None for a regression.
        imbalanced: whether accuracy is blind to the smallest class.
        scores_available: whether the model gives probabilities.
        grouped, time_ordered: whether rows depend on each other, and whether time was named.
        target: of a regression.
    """

    task: str
    classes: int
    n: dict[str, int]
    class_shares: dict[str, dict[str, float]]
    n_per_class: dict[str, dict[str, int]]
    imbalance_ratio: float | None
    smallest_share: float | None
    imbalanced: bool
    scores_available: bool
    grouped: bool
    time_ordered: bool
    target: TargetShape | None

    def describe(self) -> dict[str, JsonValue]:
        return asdict(self)


def fingerprint(case: Case) -> Fingerprint:
    """Of the splits as submitted."""
    splits = (case.train, case.validation)
    counts: dict[str, Array] = {}
    if not case.is_regression:
        counts = {split.name: _counts(case, split) for split in splits}
    named = {name: _by_name(case, rows) for name, rows in counts.items()}
    present = counts["validation"][counts["validation"] > 0] if counts else np.empty(0)
    smallest = float(present.min() / present.sum()) if len(present) else None
    classes = case.labels.n_classes
    return Fingerprint(
        task=case.labels.task,
        classes=classes,
        n={split.name: split.n for split in splits},
        class_shares={
            name: {k: n / max(1, sum(rows.values())) for k, n in rows.items()} for name, rows in named.items()
        },
        n_per_class=named,
        imbalance_ratio=float(present.max() / present.min()) if len(present) else None,
        smallest_share=smallest,
        imbalanced=classes > 0 and (smallest or 0.0) * classes / 2 < IMBALANCED,
        scores_available=has_scores(case),
        grouped="group" in case.validation.roles,
        time_ordered="time" in case.validation.roles,
        target=_target(case.train.labels, case.validation.labels) if case.is_regression else None,
    )


def _counts(case: Case, split: SplitEvidence) -> Array:
    return np.bincount(split.labels[split.labels != UNKNOWN], minlength=case.labels.n_classes)


def _by_name(case: Case, counts: Array) -> dict[str, int]:
    return {name: int(n) for name, n in list(zip(case.labels.names, counts, strict=True))[:MAX_CLASSES_TOLD]}


def _target(train: Array, validation: Array) -> TargetShape:
    sizes = np.abs(validation)
    spread = float(np.std(train))
    tail = hill_index(train)
    return TargetShape(
        zero_share=float((validation == 0).mean()),
        near_zero_share=near_zero_share(validation),
        smallest_size=float(sizes.min()),
        range_ratio=finite(float(np.std(validation)) / spread) if spread > 0 else None,
        tail_index=tail,
        heavy_tail=tail is not None and tail < HEAVY_TAIL,
        capped_at=cap(train),
    )


def near_zero_share(targets: Array, share: float = NEAR_ZERO) -> float:
    """Share of the targets that are smaller than this share of the median size, in [0, 1]."""
    sizes = np.abs(targets)
    return float((sizes <= share * np.median(sizes)).mean()) if len(sizes) else 0.0


def hill_index(values: Array) -> float | None:
    """Tail index of the distances from the median, from the largest twentieth; small is heavy, a normal has about 6.

    None with fewer than 10 rows in the tail or without any spread there.

    Reference: Hill, 1975, https://doi.org/10.1214/aos/1176343247
    """
    sizes = np.sort(np.abs(values - np.median(values)))
    k = int(TAIL_SHARE * len(sizes))
    if k < MIN_TAIL_ROWS or sizes[-k - 1] <= 0:
        return None
    excess = float(np.mean(np.log(sizes[-k:] / sizes[-k - 1])))
    return finite(1 / excess) if excess > 0 else None


def cap(values: Array) -> float | None:
    """The maximum, where so many values lie exactly there that it must be the end of the scale; else None.

    Whole numbers pile up everywhere: the pile must also be five times the one at the value before.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2 * MIN_CAP_ROWS:
        return None
    piled = counts[-1] >= max(MIN_CAP_ROWS, CAP_SHARE * len(values), 5 * counts[-2])
    return float(distinct[-1]) if piled else None


def recommendations(seen: Fingerprint) -> list[Recommendation]:
    """The metrics that suit the problem, the first one first, each with its reason."""
    if seen.task == "regression":
        return _for_quantities(seen)
    told = [Recommendation(name=name, reason=reason) for name, reason in _for_classes(seen)]
    return [one for one in told if seen.scores_available or one.name not in SCORED]


SCORED = frozenset({"roc_auc", "average_precision", "log_loss"})


def _for_classes(seen: Fingerprint) -> list[tuple[str, str]]:
    binary = seen.classes == 2
    ranking = ("roc_auc", "the ranking does not depend on the threshold; one half is chance")
    if not seen.imbalanced:
        return [
            ("accuracy", "the classes are of similar size, so that every error counts about the same"),
            ("balanced_accuracy", "it does not move when the class shares do"),
            ("log_loss", "it judges the probabilities and not only the decisions"),
            *([ranking] if binary else []),
        ]
    share = f"the smallest class holds {seen.smallest_share or 0.0:.1%} of the rows"
    precise = (
        "average_precision",
        f"{share}: precision over all thresholds shows the price of finding them; their share is chance",
    )
    return [
        ("balanced_accuracy", f"{share}: accuracy would hide whether they are found"),
        ("mcc", "it falls when either precision or recall of a class is poor"),
        *([precise, ranking] if binary else [("macro_f1", "every class counts alike, whatever its size")]),
    ]


def _for_quantities(seen: Fingerprint) -> list[Recommendation]:
    target = seen.target
    assert target is not None  # noqa: S101 - holds for every regression
    typical = "the typical error, in the target's own unit"
    if target.heavy_tail:
        typical += "; the targets have a heavy tail, which squared errors would be about alone"
    if target.near_zero_share > 0:
        typical += "; percentages of targets near zero would mean nothing"
    squared = "large errors count more"
    if target.capped_at is not None:
        squared += f"; targets pile up at {target.capped_at:g}, where errors are understated"
    fit = "the share of the spread that is explained; 0 is answering the mean"
    if target.range_ratio is not None and not 1 / 1.5 < target.range_ratio < 1.5:
        fit += (
            f". The validation targets spread {target.range_ratio:.2f} times as much as those of training: "
            "read it with the errors"
        )
    return [
        Recommendation(name="mae", reason=typical),
        Recommendation(name="rmse", reason=squared),
        Recommendation(name="r2", reason=fit),
    ]
