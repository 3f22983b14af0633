"""Faults of the training: what the network was fed, how long, how it answers, and what is reported of it."""

import numpy as np
import pandas as pd

from benchmarks.cases.data_faults import relabel
from benchmarks.cases.draft import Draft
from benchmarks.cases.faults import CLASSES, OF_DATA, OF_TRAINING, OF_WEAKNESS, SYNTHETIC, fault

OF_COPIES = (*OF_TRAINING, "overfitting.overtraining", "preprocessing.label_noise")
DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2024-01-01")


def oversized(draft: Draft, rows: int, epochs: int) -> None:
    """A network far too large, trained to the end on few rows."""
    draft.train = draft.train.iloc[:rows].copy()
    recipe = draft.recipe
    recipe.units, recipe.dropout, recipe.l2, recipe.epochs, recipe.patience = (256, 128), 0.0, 0.0, epochs, None


# Overfitting


@fault(
    "overfitting.memorization",
    (0.08, 0.15, 0.3),
    at="before",
    right=("overfitting.generalization_gap",),
    tolerated=(*OF_TRAINING, "preprocessing.label_noise", "overfitting.overtraining"),
)
def memorised(draft: Draft, noise: float) -> None:
    """So many wrong labels, recited."""
    oversized(draft, 200, 150)
    relabel(draft, draft.train, noise)


@fault(
    "overfitting.overtraining",
    (40, 80, 160),
    at="before",
    right=("overfitting.generalization_gap", "overfitting.memorization"),
    tolerated=(*OF_TRAINING, "preprocessing.label_noise"),
)
def overtrained(draft: Draft, epochs: float) -> None:
    """The history shows it: the validation loss turned up long before the end."""
    oversized(draft, 400, int(epochs))
    relabel(draft, draft.train, 0.12)
    draft.with_history = True


@fault(
    "overfitting.no_signal",
    (300, 200, 120),
    at="before",
    right=("overfitting.memorization", "overfitting.generalization_gap"),
    tolerated=(*OF_WEAKNESS, *OF_TRAINING, "preprocessing.label_noise"),
    tasks=CLASSES,
)
def coin_tosses(draft: Draft, rows: float) -> None:
    """The labels have nothing to do with the features."""
    oversized(draft, int(rows), 120)
    for part in draft.parts():
        part["label"] = draft.rng.permutation(part["label"].to_numpy(copy=True))


@fault(
    "overfitting.underfitting", (4, 2, 1), at="before", right=("metrics.weak_model",), tolerated=OF_WEAKNESS,
    worlds=SYNTHETIC,
)  # fmt: skip
def hardly_trained(draft: Draft, epochs: float) -> None:
    recipe = draft.recipe
    recipe.units, recipe.epochs, recipe.patience, recipe.learning_rate = (4,), int(epochs), None, 3e-4


@fault(
    "preprocessing.unscaled_inputs",
    (20, 10, 4),
    at="before",
    right=("overfitting.underfitting", "metrics.weak_model"),
    tolerated=(*OF_WEAKNESS, "overfitting.generalization_gap"),
    worlds=("two_classes", "four_classes", "friedman", "quantiles"),
)
def never_scaled(draft: Draft, epochs: float) -> None:
    draft.recipe.standardise, draft.recipe.epochs, draft.recipe.units = False, int(epochs), (16,)


@fault(
    "preprocessing.unshuffled",
    (6, 4, 2),
    at="before",
    right=("overfitting.underfitting", "metrics.weak_model"),
    tolerated=(*OF_WEAKNESS, "overfitting.generalization_gap", "preprocessing.prior_shift"),
    tasks=CLASSES,
    images=None,
)
def sorted_by_class(draft: Draft, epochs: float) -> None:
    """The file is sorted by class, and was read in that order."""
    draft.train = draft.train.sort_values("label", kind="stable").reset_index(drop=True)
    draft.recipe.shuffle, draft.recipe.epochs, draft.recipe.patience = False, int(epochs), None


# Metrics


@fault(
    "metrics.miscalibration", (1.7, 3.0, 6.0), at="before", tasks=CLASSES, images=None,
    tolerated=(*OF_TRAINING, "preprocessing.label_noise"),
)  # fmt: skip
def overconfident(draft: Draft, factor: float) -> None:
    draft.recipe.logit_factor = factor
    relabel(draft, draft.train, 0.1)
    relabel(draft, draft.validation, 0.1)


@fault(
    "metrics.decision_threshold", (-1.0, -2.0, -4.0), at="before", tasks=("binary",),
    right=("metrics.imbalanced_accuracy", "metrics.majority_class"), tolerated=OF_WEAKNESS,
)  # fmt: skip
def cut_misplaced(draft: Draft, shift: float) -> None:
    draft.recipe.logit_shift = shift


@fault(
    "metrics.imbalanced_accuracy", (0.8, 1.4, 2.5), at="before", worlds=("rare_positives",),
    right=("metrics.majority_class", "metrics.decision_threshold"), tolerated=(*OF_WEAKNESS, *OF_TRAINING),
)  # fmt: skip
def accurate_by_prevalence(draft: Draft, noise: float) -> None:
    """Features hardly help; 90 % accuracy by saying "no" is what was reported."""
    for part in draft.parts():
        names = draft.world.numbers
        spread = draft.world.frame[names].std().to_numpy()
        part[names] = part[names] + draft.rng.normal(0, noise, part[names].shape) * spread
    draft.reported = ["accuracy"]


@fault("metrics.small_validation", (30, 20, 12), at="before", tolerated=OF_TRAINING, n_validation=(30, 20, 12))
def few_rows(draft: Draft, rows: float) -> None:
    draft.validation = draft.validation.iloc[: int(rows)].copy()


@fault(
    "metrics.weak_segment", (0.1, 0.2, 0.3), at="before", worlds=SYNTHETIC,
    right=("preprocessing.label_noise",), tolerated=(*OF_TRAINING, "overfitting.underfitting"),
)  # fmt: skip
def segment_by_chance(draft: Draft, share: float) -> None:
    """In the highest part of one column, the labels are drawn."""
    name = draft.world.numbers[1]
    cut = float(draft.train[name].quantile(1 - share))
    for part in draft.parts():
        inside = (part[name] > cut).to_numpy()
        labels = part["label"].to_numpy(copy=True)
        labels[inside] = draft.rng.permutation(labels[inside])
        part["label"] = labels


@fault(
    "metrics.reported_mismatch", (0.03, 0.06, 0.15), at="before", tasks=CLASSES, tolerated=("metrics.small_validation",)
)
def reported_too_well(draft: Draft, by: float) -> None:
    draft.exaggerated = {"accuracy": by}


@fault(
    "metrics.output_mismatch", (1, 1, 1), at="before", tasks=("binary",), tolerated=OF_WEAKNESS,
    right=("metrics.majority_class", "metrics.weak_model", "overfitting.underfitting"),
)  # fmt: skip
def softmax_of_one(draft: Draft, _: float) -> None:
    draft.recipe.head, draft.recipe.epochs = "softmax_of_one", 10


@fault(
    "metrics.output_mismatch", (1, 1, 1), at="before", tasks=("regression",), tolerated=OF_WEAKNESS,
    right=("metrics.weak_model", "overfitting.underfitting"),
)  # fmt: skip
def sigmoid_of_value(draft: Draft, _: float) -> None:
    draft.recipe.head, draft.recipe.epochs = "sigmoid_of_value", 10


# Leaks


@fault("preprocessing.duplicate_leakage", (0.05, 0.15, 0.4), at="before", images=None, tolerated=OF_COPIES)
def trained_on(draft: Draft, share: float) -> None:
    """So many validation rows were trained on."""
    replace_by_copies(draft, share, jitter=0.0)


@fault("preprocessing.duplicate_leakage", (0.05, 0.15, 0.4), at="before", tolerated=OF_COPIES)
def nearly_trained_on(draft: Draft, share: float) -> None:
    """The same, each copy shifted by a thousandth of a standard deviation."""
    replace_by_copies(draft, share, jitter=1e-3)


def replace_by_copies(draft: Draft, share: float, *, jitter: float) -> None:
    count = min(max(1, int(share * len(draft.validation))), len(draft.train))
    copies = draft.train.sample(count, random_state=int(draft.rng.integers(2**31)))
    names = draft.world.numbers
    spread = draft.train[names].std().to_numpy()
    copies[names] = copies[names] + draft.rng.normal(0, 1, (count, len(names))) * jitter * spread
    together = pd.concat([draft.validation.iloc[count:], copies])
    draft.validation = together.iloc[draft.rng.permutation(len(together))].reset_index(drop=True)


@fault("preprocessing.duplicates", (0.1, 0.25, 0.5), at="before", tolerated=("metrics.small_validation",))
def repeated_rows(draft: Draft, share: float) -> None:
    """So many training rows stand in the file three times."""
    again = draft.train.iloc[: int(share * len(draft.train))]
    together = pd.concat([draft.train, again, again])
    draft.train = together.iloc[draft.rng.permutation(len(together))].reset_index(drop=True)


@fault("preprocessing.target_leakage", (0.3, 0.1, 0.02), at="before", tolerated=("metrics.small_validation",))
def knows_the_answer(draft: Draft, noise: float) -> None:
    """A column is the label, but for some noise, in both splits."""
    mean, spread = float(draft.train["label"].mean()), float(draft.train["label"].std()) or 1.0
    for part in draft.parts():
        exact = (part["label"].to_numpy(float) - mean) / spread
        part.insert(1, "closing_code", exact + draft.rng.normal(0, noise, len(part)))


@fault("preprocessing.target_leakage", (0.3, 0.1, 0.02), at="before", tolerated=(*OF_DATA, "overfitting.memorization"))
def knew_the_answer(draft: Draft, noise: float) -> None:
    """A column is the label in training, and nothing in validation."""
    mean, spread = float(draft.train["label"].mean()), float(draft.train["label"].std()) or 1.0
    exact = (draft.train["label"].to_numpy(float) - mean) / spread
    draft.train.insert(1, "account_state", exact + draft.rng.normal(0, noise, len(draft.train)))
    for part in (draft.validation, draft.rest):
        part.insert(1, "account_state", draft.rng.choice(draft.train["account_state"].to_numpy(), len(part)))


@fault(
    "preprocessing.identifier_feature", (0.5, 0.2, 0.0), at="before", tasks=CLASSES,
    right=("preprocessing.target_leakage", "preprocessing.distribution_shift"),
    tolerated=(*OF_DATA, "overfitting.memorization", "preprocessing.scaling_mismatch", "preprocessing.unshuffled"),
)  # fmt: skip
def learned_the_number(draft: Draft, disorder: float) -> None:
    """Rows were numbered in a file that was sorted by class, the better sorted the larger the fault."""
    count = len(draft.train)
    place = draft.train["label"].to_numpy() / draft.world.classes + draft.rng.normal(0, disorder + 1e-9, count)
    numbers = np.argsort(np.argsort(place, kind="stable"))
    draft.train.insert(0, "row_number", (numbers - count / 2) / (count / 3))
    for part in (draft.validation, draft.rest):
        part.insert(0, "row_number", (draft.rng.permutation(len(part)) + count / 2) / (count / 3))


@fault(
    "preprocessing.group_leakage", (0.3, 0.6, 1.0), at="before", worlds=("two_classes", "four_classes", "friedman"),
    right=("preprocessing.duplicate_leakage",), tolerated=(*OF_TRAINING, "preprocessing.target_leakage"),
)  # fmt: skip
def same_patients(draft: Draft, strength: float) -> None:
    """Patients who look alike each time and, so strongly, answer alike stand on both sides."""
    groups, names = 60, draft.world.numbers
    spread = draft.world.frame[names].std().to_numpy()
    look = draft.rng.normal(0, 0.8, (groups, len(names))) * spread
    regression = draft.world.task == "regression"
    own = draft.rng.normal(0, 1, groups) if regression else draft.rng.integers(0, draft.world.classes, groups)
    decides = draft.rng.random(groups) < strength
    for part in draft.parts():
        who = draft.rng.integers(0, groups, len(part))
        part[names] = part[names].to_numpy() + look[who]
        if regression:
            part["label"] = part["label"] + strength * own[who] * float(draft.world.frame["label"].std())
        else:
            part["label"] = np.where(decides[who], own[who], part["label"])
        part["patient"] = who
    draft.recipe.units, draft.recipe.dropout = (96, 48), 0.0
    draft.roles = {"group": "patient"}


@fault("preprocessing.temporal_leakage", (0.3, 0.6, 1.0), at="before", tolerated=("metrics.small_validation",))
def trained_on_the_future(draft: Draft, overlap: float) -> None:
    """Validation rows lie within the years of training, from so much of them on."""
    days = 400
    for part in draft.parts():
        part["recorded_at"] = START + draft.rng.integers(0, days, len(part)) * DAY
    draft.validation["recorded_at"] += int((1 - overlap) * days) * DAY
    draft.roles = {"time": "recorded_at"}


@fault(
    "preprocessing.label_noise", (0.1, 0.2, 0.35), at="before", tasks=CLASSES,
    tolerated=(*OF_TRAINING, "overfitting.underfitting"),
)  # fmt: skip
def wrong_training_labels(draft: Draft, share: float) -> None:
    """So many training labels are wrong; the network did not memorise them."""
    relabel(draft, draft.train, share)
    draft.recipe.l2 = 1e-3
