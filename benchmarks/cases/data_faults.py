"""Faults of the validation data: the network is good, and is fed otherwise than it was trained."""

import numpy as np
import pandas as pd

from benchmarks.cases.draft import Draft
from benchmarks.cases.faults import CLASSES, OF_DATA, OF_TRAINING, fault

OF_ENCODING = (*OF_DATA, "preprocessing.label_noise", "preprocessing.prior_shift")
OF_HOLES = (*OF_DATA, "preprocessing.sentinel_values", "preprocessing.imputation_spike")


# Scales


@fault("preprocessing.scaling_mismatch", (1, 3, 100))
def unstandardised(draft: Draft, columns: float) -> None:
    """So many columns, the most important first, were never standardised."""
    names = draft.important(int(columns))
    draft.validation[names] = draft.in_units(names)


@fault("preprocessing.scaling_mismatch", (1.3, 2.54, 1000))
def other_unit(draft: Draft, factor: float) -> None:
    """Two columns come in another unit."""
    names = draft.important(2)
    draft.set_in_units(names, draft.in_units(names) * factor)


@fault("preprocessing.scaling_mismatch", (1, 3, 100))
def range_scaled(draft: Draft, columns: float) -> None:
    """So many columns were scaled to [0, 1] by their own range."""
    names = draft.important(int(columns))
    values = draft.validation[names]
    draft.validation[names] = (values - values.min()) / (values.max() - values.min() + 1e-12)


@fault("preprocessing.scaling_mismatch", (1, 3, 100))
def standardised_twice(draft: Draft, columns: float) -> None:
    names = draft.important(int(columns))
    draft.set_in_units(names, draft.validation[names])


@fault("preprocessing.scaling_mismatch", (1 / 4, 16, 255), right=("preprocessing.value_range",), images=True)
def pixel_range(draft: Draft, factor: float) -> None:
    """Pixels in [0, 0.25], [0, 16] or [0, 255] for [0, 1]."""
    names = draft.world.numbers
    draft.validation[names] = draft.validation[names] * factor


@fault("preprocessing.image_geometry", (0, 1, 2), images=True, tolerated=(*OF_DATA, "preprocessing.scaling_mismatch"))
def turned(draft: Draft, how: float) -> None:
    """Mirrored, transposed, or turned by a quarter."""
    shape = draft.world.image_shape
    assert shape is not None
    pictures = draft.validation[draft.world.numbers].to_numpy().reshape((-1, *shape))
    done = [pictures[:, :, ::-1], pictures.transpose(0, 2, 1, 3), np.rot90(pictures, 1, axes=(1, 2))][int(how)]
    draft.validation[draft.world.numbers] = np.ascontiguousarray(done).reshape(len(pictures), -1)


# Columns and codes


@fault("preprocessing.feature_order", (2, 4, 100), tolerated=(*OF_DATA, "preprocessing.scaling_mismatch"))
def column_order(draft: Draft, columns: float) -> None:
    """So many columns hold each other's values."""
    names = draft.important(int(columns))
    draft.validation[names] = draft.validation[list(np.roll(names, 1))].to_numpy()


@fault("preprocessing.category_mismatch", (1, 2, 3), categories=True, right=("preprocessing.scaling_mismatch",))
def other_codes(draft: Draft, how: float) -> None:
    """Two codes of one column exchanged, the codes of all columns shuffled, or all counted from one."""
    for name in draft.world.categories[: 1 if how == 1 else None]:
        codes = draft.validation[name].to_numpy()
        levels = np.arange(int(draft.world.frame[name].max()) + 1)
        exchanged = np.concatenate([levels[-1:], levels[1:-1], levels[:1]])
        draft.validation[name] = [exchanged[codes], np.roll(levels, 1)[codes], codes + 1][int(how) - 1]


@fault(
    "preprocessing.constant_feature",
    (1, 2, 4),
    right=(
        "preprocessing.missing_values",
        "preprocessing.imputation_spike",
        "preprocessing.sentinel_values",
        "preprocessing.distribution_shift",
    ),
)
def constant_columns(draft: Draft, columns: float) -> None:
    """So many columns are zero, in their own units."""
    names = draft.important(int(columns))
    draft.set_in_units(names, draft.validation[names] * 0)


# Holes and outliers


@fault("preprocessing.missing_values", (0.05, 0.15, 0.4), right=("preprocessing.non_finite_output",), images=None)
def missing_values(draft: Draft, share: float) -> None:
    for name in draft.important(3):
        draft.validation.loc[draft.hit(share), name] = np.nan


@fault(
    "preprocessing.sentinel_values",
    (0.03, 0.1, 0.3),
    right=("preprocessing.missing_values",),
    tolerated=(*OF_DATA, "preprocessing.imputation_spike"),
)
def sentinels(draft: Draft, share: float) -> None:
    """-999 for missing values."""
    for name in draft.important(3):
        draft.validation.loc[draft.hit(share), name] = (-999.0 - draft.mean[name]) / draft.spread[name]


@fault(
    "preprocessing.imputation_spike",
    (0.15, 0.35, 0.6),
    right=("preprocessing.missing_values", "preprocessing.sentinel_values"),
)
def filled_with_mean(draft: Draft, share: float) -> None:
    for name in draft.important(3):
        draft.validation.loc[draft.hit(share), name] = 0.0


@fault("preprocessing.outliers", (0.01, 0.03, 0.1), tolerated=OF_HOLES)
def outliers(draft: Draft, share: float) -> None:
    """So many rows, in each of four columns, lie 15 to 30 standard deviations out."""
    for name in draft.important(4):
        rows = draft.hit(share)
        count = int(rows.sum())
        draft.validation.loc[rows, name] = draft.rng.choice([-1, 1], count) * draft.rng.uniform(15, 30, count)


# Labels


@fault("preprocessing.label_encoding", (2, 3, 4), tasks=CLASSES, images=None, tolerated=OF_ENCODING)
def other_encoder(draft: Draft, classes: float) -> None:
    """So many classes hold each other's names."""
    known = np.arange(draft.world.classes)
    involved = known[: int(classes)]
    renamed = known.copy()
    renamed[involved] = np.roll(involved, 1)
    draft.validation["label"] = renamed[draft.validation["label"].to_numpy()]


@fault(
    "preprocessing.label_noise",
    (0.05, 0.15, 0.3),
    right=("overfitting.generalization_gap",),
    tolerated=(*OF_TRAINING, "preprocessing.distribution_shift"),
)
def wrong_labels(draft: Draft, share: float) -> None:
    relabel(draft, draft.validation, share)


def relabel(draft: Draft, part: pd.DataFrame, share: float) -> None:
    """Other classes, or targets 2.5 standard deviations off."""
    chosen = draft.rng.choice(len(part), int(np.ceil(share * len(part))), replace=False)
    labels = part["label"].to_numpy(copy=True)
    if draft.world.task == "regression":
        labels = labels.astype(float)
        labels[chosen] += draft.rng.normal(0, 2.5 * labels.std(), len(chosen))
    else:
        classes = draft.world.classes
        labels[chosen] = (labels[chosen] + draft.rng.integers(1, classes, len(chosen))) % classes
    part["label"] = labels


@fault(
    "metrics.dominated_by_few",
    (0.002, 0.005, 0.02),
    tasks=("regression",),
    right=("preprocessing.label_noise", "preprocessing.outliers"),
    tolerated=(*OF_TRAINING, "preprocessing.distribution_shift", "preprocessing.prior_shift"),
)
def targets_mistyped(draft: Draft, share: float) -> None:
    """So many targets have a zero too many."""
    rows = draft.hit(share)
    draft.validation["label"] = draft.validation["label"].astype(float)
    draft.validation.loc[rows, "label"] = draft.validation.loc[rows, "label"] * 10


# Populations


@fault(
    "preprocessing.prior_shift",
    (0.6, 0.35, 0.15),
    tasks=("binary",),
    right=("preprocessing.distribution_shift",),
    tolerated=(*OF_DATA, "metrics.imbalanced_accuracy"),
)
def fewer_positives(draft: Draft, kept: float) -> None:
    """The share of positives falls to so much of what it was; the number of rows stays, drawn from all that are new."""
    new = pd.concat([draft.validation, draft.rest])
    positive = new["label"].to_numpy() == 1
    weights = np.where(
        positive, kept * positive.mean() / positive.sum(), (1 - kept * positive.mean()) / (~positive).sum()
    )
    resample(draft, new, weights)


@fault(
    "preprocessing.distribution_shift",
    (0.5, 1.0, 2.0),
    tolerated=(*OF_DATA, "preprocessing.prior_shift", "preprocessing.scaling_mismatch"),
)
def other_population(draft: Draft, strength: float) -> None:
    """Rows are drawn the likelier, the higher every other column is, from all that are new."""
    new = pd.concat([draft.validation, draft.rest])
    names = draft.world.numbers[::2]
    standing = ((new[names] - new[names].mean()) / new[names].std().replace(0, 1.0)).sum(axis=1).to_numpy()
    weights = np.exp(strength * (standing - standing.max()) / standing.std())
    resample(draft, new, weights / weights.sum())


def resample(draft: Draft, new: pd.DataFrame, weights: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> None:
    """Without replacement: a row that stands twice would be another fault."""
    wanted = min(len(draft.validation), int(0.6 * len(new)))
    chosen = draft.rng.choice(len(new), wanted, replace=False, p=weights / weights.sum())
    draft.validation = new.iloc[chosen].reset_index(drop=True)
