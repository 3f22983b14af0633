"""What the model said about rows, and how its output is read: as probabilities, logits, class ids or values."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.special import expit, softmax

from audits.artefacts import Array
from audits.evidence.labels import LabelSpace
from audits.evidence.meaning.shapes import as_matrix, is_text
from schemas.request import OutputKind

NO_ANSWER = -1
HALF = 0.5
# A row whose shares sum to less has none.
TINY = 1e-12
# Rounding of float32 sums and of half-precision models.
SUM_TOLERANCE = 0.01
# Of many rows, so many are read at once, and kept in half the width.
BLOCK_ROWS = 2**18
NARROW = {"f": np.float32, "i": np.int32}
# How the numbers are brought to what `kind` says. Of probabilities: plain; log (exp); margin (from -1..1);
# label_scale (cut to 0..1); cumulative (of reaching each further class) and cumulative_logit. Of classes: plain (ids,
# in the order of the classes), labels (the labels themselves), names (text), one_hot.
Form = Literal["plain", "log", "margin", "label_scale", "cumulative", "cumulative_logit", "labels", "names", "one_hot"]
# Forms that are cut into decisions but state no confidence.
WITHOUT_CONFIDENCE: frozenset[Form] = frozenset({"margin", "label_scale"})


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
        form: how the numbers are brought to what `kind` says.
        index: which of several values a row is judged; None for all of them together.
        step: which of several answers a row is judged.
        chosen: why this output and this value of it, for the report.
    """

    tensor: str
    kind: OutputKind
    reason: str
    labels: LabelSpace
    threshold: float = 0.5
    form: Form = "plain"
    index: int | None = None
    step: int | None = None
    chosen: str = ""

    def read(self, raw: Array) -> Predictions:
        """Predictions from the raw output: (rows,), (rows, values), or with further axes of size 1.

        A row with a value that is not finite, or that names no class, has no answer.

        Raises:
            ModelError: the output has another shape, or is text where numbers are read.
        """
        if self.form == "names" and is_text(raw):
            return self._from_ids(self.labels.codes_of_names(raw.reshape(len(raw), -1)[:, 0]))
        scores = as_matrix(raw, self.tensor, self.step)
        return self.read_scores(scores if self.index is None else scores[:, [self.index]])

    def read_scores(self, scores: Array) -> Predictions:
        """Predictions from the judged values alone, (rows, values) float64."""
        if self.kind == "value":
            values = scores[:, 0].copy()
            values[~np.isfinite(values)] = np.nan
            return Predictions(values, None, None)
        if self.kind == "class":
            return self._from_ids(self._ids(scores))
        return self._from_scores(scores)

    def read_many(self, raw: Array) -> Predictions:
        """As `read`; of many rows block by block, and in half the width: their answers stay in memory."""
        if len(raw) <= BLOCK_ROWS:
            return self.read(raw)
        blocks = (self.read(raw[first : first + BLOCK_ROWS]) for first in range(0, len(raw), BLOCK_ROWS))
        return Predictions(*_filled(len(raw), ((b.values, b.probabilities, b.decisions) for b in blocks)))

    def _ids(self, scores: Array) -> Array:
        if self.form == "one_hot":
            return np.where(np.isfinite(scores).all(axis=1), np.nan_to_num(scores).argmax(axis=1), NO_ANSWER)
        if self.form in {"labels", "names"}:
            return self.labels.codes_of_names(scores[:, 0])
        return scores[:, 0]

    def _from_ids(self, ids: Array) -> Predictions:
        classes = self.labels.n_classes
        valid = np.isfinite(ids) & (ids >= 0) & (ids < classes)
        decisions = np.where(valid, np.nan_to_num(ids), NO_ANSWER).astype(np.int64)
        probabilities = np.full((len(ids), classes), np.nan)
        probabilities[valid] = np.eye(classes)[decisions[valid]]
        return Predictions(None, probabilities, decisions)

    def _from_scores(self, scores: Array) -> Predictions:
        finite = np.isfinite(scores).all(axis=1)
        probabilities = np.full((len(scores), self.labels.n_classes), np.nan)
        decisions = np.full(len(scores), NO_ANSWER)
        probabilities[finite] = to_probabilities(scores[finite], self.kind, self.form)
        if self.form in {"cumulative", "cumulative_logit"}:
            # the most probable class is not the one in the middle: the rank counts how many classes are passed
            passed = expit(scores[finite]) if self.form == "cumulative_logit" else scores[finite]
            decisions[finite] = (passed >= HALF).sum(axis=1)
        elif self.labels.n_classes == 2:
            decisions[finite] = probabilities[finite, 1] >= self.threshold
        else:
            decisions[finite] = probabilities[finite].argmax(axis=1)
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


def to_probabilities(scores: Array, kind: OutputKind, form: Form) -> Array:
    """(rows, classes) from finite scores, (rows, values); one value speaks for the second of two classes."""
    if form in {"cumulative", "cumulative_logit"}:
        return _of_ranks(expit(scores) if form == "cumulative_logit" else scores)
    if form == "log":
        scores = np.exp(scores)
    elif form == "margin":
        scores = np.clip((scores + 1) / 2, 0, 1)
    elif form == "label_scale":
        scores = np.clip(scores, 0, 1)
        if scores.shape[1] > 1:
            sums = scores.sum(axis=1, keepdims=True)
            scores = np.where(sums > TINY, scores / np.maximum(sums, TINY), 1 / scores.shape[1])
    if scores.shape[1] == 1:
        positive = expit(scores[:, 0]) if kind == "logit" else scores[:, 0]
        return np.stack([1 - positive, positive], axis=1)
    return np.asarray(softmax(scores, axis=1)) if kind == "logit" else scores


def _of_ranks(passed: Array) -> Array:
    """(rows, classes) from the probabilities of lying beyond each class but the last, (rows, classes - 1)."""
    rows = len(passed)
    edges = np.concatenate([np.ones((rows, 1)), passed, np.zeros((rows, 1))], axis=1)
    shares = np.maximum(edges[:, :-1] - edges[:, 1:], 0)
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), TINY))


def describe(meaning: OutputMeaning) -> dict[str, Any]:
    """For the report's `model` section."""
    return {
        "tensor": meaning.tensor,
        "index": meaning.index,
        "step": meaning.step,
        "chosen": meaning.chosen or None,
        "kind": meaning.kind,
        "form": meaning.form,
        "reason": meaning.reason,
        "task": meaning.labels.task,
        "classes": meaning.labels.names,
        "classes_reason": meaning.labels.reason,
        "threshold": meaning.threshold if meaning.labels.n_classes == 2 and meaning.kind != "class" else None,
    }
