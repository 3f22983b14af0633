"""Which epoch of the history the model at hand is: what was logged on the validation rows, computed again.

The definitions of losses and metrics are those of Keras. A loss that holds more than the data's part (weight
regularisation) or the loss of scaled targets is matched by what is left: other metrics, a scale, or the distance of
training and validation loss, in which regularisation cancels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, SplitEvidence

# Relative difference of a logged and a computed number: rounding alone, or rows and batches left out.
EXACT = 1e-4
NEAR = 0.02
# Training losses are means over an epoch in which the weights moved.
SAME_DISTANCE = 0.1
# The probability of a logit of 0.5: where `metrics=["accuracy"]` cuts a network without a sigmoid.
LOGIT_CUT = 0.6225
ACCURACIES = (
    "accuracy",
    "acc",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
)
ABSOLUTE = ("mae", "mean_absolute_error")
SQUARED = ("mse", "mean_squared_error")
ROOTS = ("rmse", "root_mean_squared_error")

Match = Literal["exact", "by accuracy", "near"]


@dataclass(frozen=True)
class ExportedEpoch:
    """The epoch that the model is of.

    Attributes:
        epoch: counted from 0 over the history as given.
        match: "exact" where a continuous number agrees to its rounding; "by accuracy" where the accuracy agrees to the
            row, and the distance of training and validation loss; "near" where numbers agree within 2 % only.
        by: the names in the history that agree.
    """

    epoch: int
    match: Match
    by: tuple[str, ...]

    @property
    def certain(self) -> bool:
        """Whether a verdict may rest on it: of many epochs one is near by chance."""
        return self.match != "near" or len(self.by) > 1


def exported_epoch(case: Case, history: Mapping[str, Array]) -> ExportedEpoch | None:
    """Find the epoch; of several that agree the last, since training exports its end unless told otherwise.

    Args:
        case: whose model and validation rows are looked at, as submitted.
        history: metric -> (epochs,).
    """
    values = {name: np.asarray(v, dtype=float) for name, v in history.items() if name.startswith("val_")}
    if not case.is_regression and case.meaning.kind == "class":
        # without probabilities there is no loss, and the accuracy of many epochs is alike
        return None
    same_accuracy = _accuracy_agrees(case, values)
    computed = _computed(case, values)
    return (
        _last_that_agrees(values, computed, same_accuracy, "exact")
        or _by_distance(case, history, same_accuracy)
        # scales and kinds of loss are so many that some would be near by chance
        or _last_that_agrees(values, {name: c[:1] for name, c in computed.items()}, same_accuracy, "near")
    )


def _last_that_agrees(
    logged: Mapping[str, Array],
    computed: Mapping[str, list[float]],
    same_accuracy: Array | None,
    match: Literal["exact", "near"],
) -> ExportedEpoch | None:
    """The last of the epochs at which most numbers agree.

    The last and the best epoch are what training exports: there one exact number is no chance. Elsewhere a loss that
    agrees beside a metric of known definition that does not is chance.
    """
    tolerance = EXACT if match == "exact" else NEAR
    agreed = {
        name: np.any([np.abs(logged[name] - v) <= tolerance * max(abs(v), 1e-12) for v in choices], axis=0)
        for name, choices in computed.items()
    }
    if not agreed:
        return None
    votes = strict = np.sum(list(agreed.values()), axis=0)
    known = [a for name, a in agreed.items() if name != "val_loss"]
    for needed in (*([np.any(known, axis=0)] if known else []), *([] if same_accuracy is None else [same_accuracy])):
        strict = np.where(needed, strict, 0)
    if not strict.any():
        likely = [epoch for epoch in _likely_epochs(logged) if match == "exact" and votes[epoch]]
        return ExportedEpoch(likely[0], match, _names(agreed, likely[0])) if likely else None
    epoch = int(np.flatnonzero(strict == strict.max())[-1])
    by = _names(agreed, epoch)
    return ExportedEpoch(epoch, match, by if same_accuracy is None else (*by, "val_accuracy"))


def _names(agreed: Mapping[str, Array], epoch: int) -> tuple[str, ...]:
    return tuple(name for name, a in agreed.items() if a[epoch])


def _likely_epochs(logged: Mapping[str, Array]) -> list[int]:
    """The last one, and that of the lowest validation loss."""
    losses = logged.get("val_loss")
    if losses is None or not np.isfinite(losses).any():
        return []
    return [int(np.flatnonzero(np.isfinite(losses))[-1]), int(np.nanargmin(losses))]


def _by_distance(case: Case, history: Mapping[str, Array], same_accuracy: Array | None) -> ExportedEpoch | None:
    """With regularisation in the loss: the accuracy to the row, and how far validation lies above training."""
    if same_accuracy is None or "loss" not in history or "val_loss" not in history:
        return None
    logged = np.asarray(history["val_loss"], dtype=float) - np.asarray(history["loss"], dtype=float)
    ours = _mean_loss(case, case.validation) - _mean_loss(case, case.train)
    penalty = np.asarray(history["val_loss"], dtype=float) - _mean_loss(case, case.validation)
    agrees = same_accuracy & (np.abs(logged - ours) <= SAME_DISTANCE * abs(ours)) & (penalty > 0)
    if not agrees.any():
        return None
    return ExportedEpoch(int(np.flatnonzero(agrees)[-1]), "by accuracy", ("val_accuracy", "val_loss - loss"))


def _mean_loss(case: Case, split: SplitEvidence) -> float:
    return float(np.nanmean(case.scorer.losses(split.labels, split.predictions)))


def _computed(case: Case, logged: Mapping[str, Array]) -> dict[str, list[float]]:
    """Name in the history -> what it may be of the model at hand, the likeliest first."""
    split = case.validation
    if not case.is_regression:
        return {"val_loss": [_mean_loss(case, split)]} if "val_loss" in logged else {}
    residuals = np.asarray(split.predictions.values - split.labels, dtype=float)
    residuals = residuals[np.isfinite(residuals)]
    if not len(residuals):
        return {}
    squared, absolute = float(np.mean(np.square(residuals))), float(np.mean(np.abs(residuals)))
    scales = [1.0, *_scales(case.train.labels)]
    told = {
        "val_loss": [v for s in scales for v in (squared / s**2, absolute / s, _huber(residuals / s))],
        **{f"val_{name}": [absolute / s for s in scales] for name in ABSOLUTE},
        **{f"val_{name}": [squared / s**2 for s in scales] for name in SQUARED},
        **{f"val_{name}": [np.sqrt(squared) / s for s in scales] for name in ROOTS},
    }
    return {name: [float(v) for v in choices] for name, choices in told.items() if name in logged}


def _scales(labels: Array) -> list[float]:
    """By which targets are divided before training: their deviation, their range, their maximum."""
    known = np.asarray(labels, dtype=float)[np.isfinite(labels)]
    if len(known) < 2:
        return []
    scales = [known.std(), known.std(ddof=1), np.ptp(known), np.abs(known).max()]
    return [float(s) for s in scales if s > 0]


def _huber(residuals: Array, delta: float = 1.0) -> float:
    size = np.abs(residuals)
    return float(np.mean(np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))))


def _accuracy_agrees(case: Case, logged: Mapping[str, Array]) -> Array | None:
    """(epochs,) whether the logged accuracy is that of the model, to half a row; None where none was logged."""
    if case.is_regression:
        return None
    name = next((f"val_{name}" for name in ACCURACIES if f"val_{name}" in logged), None)
    if name is None:
        return None
    split = case.validation
    assert split.predictions.probabilities is not None  # noqa: S101 - holds for every classification
    positive = split.predictions.probabilities[:, 1]
    decisions = [split.predictions.probabilities.argmax(axis=1)]
    if case.labels.n_classes == 2:
        # Keras cuts at 0.5, whatever the request's threshold is, and cuts logits there too
        decisions = [(positive > 0.5).astype(int), (positive > LOGIT_CUT).astype(int)]
    accuracies = [float(np.mean(decided == split.labels)) for decided in decisions]
    # a row on the threshold may fall on either side of it
    return np.asarray(np.any([np.abs(logged[name] - share) <= 1.5 / split.n for share in accuracies], axis=0))
