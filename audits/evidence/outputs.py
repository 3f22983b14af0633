"""What the model's numbers mean: probabilities, logits, class ids or values, and the decisions they lead to."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from scipy.special import expit, softmax

from audits.artefacts import Array, ModelDescription
from audits.evidence.labels import LabelSpace
from schemas.problem import ModelError, RequestError
from schemas.request import OutputKind

NO_ANSWER = -1
PROBABILITY_OPS = frozenset({"Sigmoid", "Softmax"})
LINEAR_OPS = frozenset({"BiasAdd", "MatMul", "Add", "AddV2", "Einsum"})
# Rounding of float32 sums and of half-precision models.
SUM_TOLERANCE = 0.01
BLOCK_ROWS = 2**18
NARROW = {"f": np.float32, "i": np.int32}


@dataclass(frozen=True)
class Predictions:
    """What the model said about some rows.

    Attributes:
        values: (rows,) predictions of a regression, NaN where the model gave no finite answer.
        probabilities: (rows, classes) for classification, NaN rows where it gave none; None for regression.
        decisions: (rows,) class indices, -1 where it gave none; None for regression.
    """

    values: Array | None
    probabilities: Array | None
    decisions: Array | None

    def __len__(self) -> int:
        return len(self.answered)

    @property
    def answered(self) -> Array:
        """(rows,) whether the model gave a finite answer."""
        if self.decisions is not None:
            return np.asarray(self.decisions != NO_ANSWER)
        assert self.values is not None  # noqa: S101 - one of the two is there by construction
        return np.isfinite(self.values)

    def at(self, index: Array) -> "Predictions":
        parts = (self.values, self.probabilities, self.decisions)
        return Predictions(*(None if part is None else part[index] for part in parts))

    def with_threshold(self, threshold: float) -> "Predictions":
        """Binary decisions anew: positive at or above the threshold."""
        if self.probabilities is None:
            return self
        decided = np.where(self.answered, (self.probabilities[:, 1] >= threshold).astype(np.int64), NO_ANSWER)
        return replace(self, decisions=decided)

    @staticmethod
    def concatenate(parts: "list[Predictions]") -> "Predictions":
        def join(name: str) -> Array | None:
            arrays = [getattr(part, name) for part in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        return Predictions(join("values"), join("probabilities"), join("decisions"))


@dataclass(frozen=True)
class OutputMeaning:
    """How to read the model's chosen output.

    Attributes:
        tensor: name of the output.
        kind: probability, logit, class or value.
        reason: why it is read so, for the report.
        threshold: binary decisions are positive at or above it.
    """

    tensor: str
    kind: OutputKind
    reason: str
    labels: LabelSpace
    threshold: float = 0.5

    def read(self, raw: Array) -> Predictions:
        """Predictions from the raw output, (rows,), (rows, 1) or (rows, classes)."""
        scores = as_matrix(raw, self.tensor)
        if self.kind == "value":
            values = scores[:, 0].copy()
            values[~np.isfinite(values)] = np.nan
            return Predictions(values, None, None)
        if self.kind == "class":
            return self._from_class_ids(scores[:, 0])
        finite = np.isfinite(scores).all(axis=1)
        probabilities = np.full((len(scores), self.labels.n_classes), np.nan)
        probabilities[finite] = self._probabilities(scores[finite])
        if self.labels.n_classes == 2:
            decisions = (probabilities[:, 1] >= self.threshold).astype(np.int64)
        else:
            decisions = np.where(finite, np.nan_to_num(probabilities).argmax(axis=1), NO_ANSWER)
        return Predictions(None, probabilities, np.where(finite, decisions, NO_ANSWER))

    def read_many(self, raw: Array) -> Predictions:
        """As `read`; of many rows block by block, and in half the width: their answers stay in memory."""
        if len(raw) <= BLOCK_ROWS:
            return self.read(raw)
        blocks = (self.read(raw[first : first + BLOCK_ROWS]) for first in range(0, len(raw), BLOCK_ROWS))
        return Predictions(*_filled(len(raw), ((b.values, b.probabilities, b.decisions) for b in blocks)))

    def _probabilities(self, scores: Array) -> Array:
        if scores.shape[1] == 1:
            positive = expit(scores[:, 0]) if self.kind == "logit" else scores[:, 0]
            return np.stack([1 - positive, positive], axis=1)
        return np.asarray(softmax(scores, axis=1)) if self.kind == "logit" else scores

    def _from_class_ids(self, ids: Array) -> Predictions:
        classes = self.labels.n_classes
        valid = np.isfinite(ids) & (ids >= 0) & (ids < classes)
        decisions = np.where(valid, np.nan_to_num(ids), NO_ANSWER).astype(np.int64)
        probabilities = np.full((len(ids), classes), np.nan)
        probabilities[valid] = np.eye(classes)[decisions[valid]]
        return Predictions(None, probabilities, decisions)


def narrowed(values: Array) -> Array:
    """Class indices of many rows, in half the width; anything else as it is."""
    return values.astype(np.int32) if len(values) > BLOCK_ROWS and values.dtype.kind == "i" else values


def _filled(rows: int, blocks: Iterable[tuple[Array | None, ...]]) -> tuple[Array | None, ...]:
    """The parts of all blocks, one after the other, as float32 and int32; None for a part that they lack."""
    whole: list[Array | None] = []
    first = 0
    for parts in blocks:
        whole = whole or [None if p is None else np.empty((rows, *p.shape[1:]), NARROW[p.dtype.kind]) for p in parts]
        for target, part in zip(whole, parts, strict=True):
            if target is not None and part is not None:
                target[first : first + len(part)] = part
        first += max(len(part) for part in parts if part is not None)
    return tuple(whole)


def as_matrix(raw: Array, tensor: str) -> Array:
    """The raw output as (rows, outputs) float64.

    Raises:
        ModelError: the output is of higher rank or is text.
    """
    if raw.dtype.kind not in "fiub":
        raise ModelError(
            "output_not_numeric",
            f"Output {tensor!r} holds text. Name a numeric output of the signature in output.tensor.",
            field="output.tensor",
        )
    squeezed = raw.reshape(len(raw), -1) if raw.ndim <= 2 or _is_flat(raw) else None
    if squeezed is None:
        raise ModelError(
            "output_shape_unsupported",
            f"Output {tensor!r} has the shape {list(raw.shape[1:])} per row; one score or one score per class is "
            "needed. Export a signature that ends in such an output, or name another in output.tensor.",
            field="output.tensor",
        )
    return np.asarray(squeezed, dtype=np.float64)


def _is_flat(raw: Array) -> bool:
    return int(np.sum(np.asarray(raw.shape[1:]) > 1)) <= 1


def choose_tensor(description: ModelDescription, requested: str | None) -> str:
    """The output to judge.

    Raises:
        RequestError: the requested output does not exist, or there are several and none was named.
    """
    names = [spec.name for spec in description.outputs]
    if requested is not None:
        if requested not in names:
            raise RequestError(
                "output_missing",
                f"The signature has no output {requested!r}; it has {', '.join(names)}.",
                field="output.tensor",
            )
        return requested
    if len(names) == 1:
        return names[0]
    for usual in ("probabilities", "logits", "predictions"):
        if usual in names:
            return usual
    raise RequestError(
        "output_ambiguous",
        f"The signature has {len(names)} outputs: {', '.join(names)}. Name the one to judge in output.tensor.",
        field="output.tensor",
    )


def infer_kind(requested: str, scores: Array, op: str | None, dtype: str, labels: LabelSpace) -> tuple[OutputKind, str]:
    """What the numbers are, and why: the request, the op that made them, or the values themselves.

    Args:
        requested: `output.kind` of the request.
        scores: (rows, outputs) on training rows.
        op: the graph's op behind the output, where known.
        dtype: the output's type.
        labels: the task and its classes.
    """
    if labels.task == "regression":
        if scores.shape[1] != 1:
            raise ModelError(
                "output_shape_unsupported",
                f"The output has {scores.shape[1]} values a row; a regression needs one. Name another output in "
                "output.tensor, or export a signature with one.",
                field="output.tensor",
            )
        return "value", "the task is a regression"
    if requested != "auto":
        return _requested_kind(requested, scores)
    if np.dtype(dtype).kind in "iu" and scores.shape[1] == 1:
        return "class", f"a single whole number of type {dtype}"
    if op in PROBABILITY_OPS:
        return "probability", f"the output ends in {op}"
    finite = scores[np.isfinite(scores).all(axis=1)]
    bounded = bool(len(finite)) and bool((finite >= -1e-6).all() and (finite <= 1 + 1e-6).all())
    if not bounded:
        return "logit", "values lie outside [0, 1]"
    if scores.shape[1] > 1 and np.abs(finite.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        return "logit", "the outputs of a row do not sum to 1"
    if op in LINEAR_OPS and scores.shape[1] == 1:
        return "logit", f"the output ends in {op}, without a sigmoid"
    return "probability", "all values lie in [0, 1]" + (" and sum to 1" if scores.shape[1] > 1 else "")


def _requested_kind(requested: str, scores: Array) -> tuple[OutputKind, str]:
    """The reading that was asked for; numbers that are no probabilities can only be logits.

    Raises:
        RequestError: the values contradict it; names one.
    """
    finite = scores[np.isfinite(scores)]
    outside = finite[(finite < -1e-6) | (finite > 1 + 1e-6)]
    why = None
    if requested == "value":
        why = "the labels are classes; set `task` to regression if they are quantities"
    elif requested == "class" and (scores.shape[1] != 1 or (finite % 1 != 0).any()):
        why = "the model does not answer one whole number a row"
    if why is not None:
        raise RequestError("output_kind_mismatch", f"output.kind is {requested}, but {why}.", field="output.kind")
    if requested == "probability" and len(outside):
        return "logit", f"the request says probability, but the model answered {outside[0]:.4g}, which is none"
    return cast("OutputKind", requested), "the request says so"


def describe(meaning: OutputMeaning) -> dict[str, Any]:
    """For the report's `model` section."""
    return {
        "tensor": meaning.tensor,
        "kind": meaning.kind,
        "reason": meaning.reason,
        "task": meaning.labels.task,
        "classes": meaning.labels.names,
        "classes_reason": meaning.labels.reason,
        "threshold": meaning.threshold if meaning.labels.n_classes == 2 else None,
    }
