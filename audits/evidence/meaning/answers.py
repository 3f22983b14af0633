"""The answers of one output on the training rows, and what can be told from them alone."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from audits.artefacts import Array
from audits.evidence.outputs import SUM_TOLERANCE
from audits.statistics.metrics import r2

ROUNDING = 1e-6
# A correlation at which two values speak for one question.
OPPOSED = -0.5
# Questions to many rows are put to so many of them, evenly spaced.
MAX_ROWS = 20_000
PROBABILITY_OPS = frozenset({"Sigmoid", "Softmax"})
LINEAR_OPS = frozenset({"BiasAdd", "MatMul", "BatchMatMulV2", "Add", "AddV2", "Sub", "Einsum", "Mul", "RealDiv", "Div"})
# What they answer is a decision, whatever type it is cast to.
DECIDING_OPS = frozenset(
    {
        *("ArgMax", "ArgMin", "TopKV2", "TopK", "Round", "Rint", "Floor", "Ceil", "Sign", "OneHot", "Bucketize"),
        *("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "LogicalNot", "LogicalAnd"),
    }
)


@dataclass(frozen=True)
class Answers:
    """One output on the training rows.

    Attributes:
        tensor: its name.
        values: (rows, width) float64.
        dtype: the output's own type.
        op: the graph's op behind it, where known.
    """

    tensor: str
    values: Array
    dtype: str
    op: str | None

    @property
    def width(self) -> int:
        return int(self.values.shape[1])

    @cached_property
    def some(self) -> Array:
        """(rows,) positions of the rows that questions are put to."""
        step = -(-len(self.values) // MAX_ROWS)
        return np.arange(0, len(self.values), max(1, step))

    @cached_property
    def finite(self) -> Array:
        """(finite rows, width) the rows without NaN and infinity."""
        return np.asarray(self.values[np.isfinite(self.values).all(axis=1)])

    def column(self, index: int) -> "Answers":
        return replace(self, values=self.values[:, [index]])

    @cached_property
    def within_unit(self) -> bool:
        """Whether every value lies in [0, 1]."""
        return bool(len(self.finite)) and bool((self.finite >= -ROUNDING).all() and (self.finite <= 1 + ROUNDING).all())

    @cached_property
    def sums_to_one(self) -> bool:
        """Whether the values are shares of each row: exclusive probabilities."""
        return (
            self.within_unit and self.width > 1 and bool((np.abs(self.finite.sum(axis=1) - 1) <= SUM_TOLERANCE).all())
        )

    @cached_property
    def logs_of_shares(self) -> bool:
        """Whether the values are the logarithms of exclusive probabilities."""
        if self.width < 2 or not len(self.finite) or float(self.finite.max()) > ROUNDING:
            return False
        return bool((np.abs(np.exp(self.finite).sum(axis=1) - 1) <= SUM_TOLERANCE).all())

    @cached_property
    def whole(self) -> bool:
        return bool(len(self.finite)) and bool((np.mod(self.finite, 1) == 0).all())

    @cached_property
    def one_hot(self) -> bool:
        """Whether each row is one 1 among zeros."""
        of = self.finite
        return self.width > 1 and self.whole and bool(((of == 0) | (of == 1)).all() and (of.sum(axis=1) == 1).all())

    @cached_property
    def independent(self) -> bool:
        """Whether the values are probabilities that do not exclude each other: one sigmoid for each of several."""
        return self.width > 1 and self.within_unit and not self.sums_to_one and self.op != "Softmax"

    @cached_property
    def opposed(self) -> bool:
        """Whether the first of two values falls where the second rises."""
        if len(self.finite) < 2 or not (self.finite.std(axis=0) > 0).all():
            return True
        return float(np.corrcoef(self.finite[:, 0], self.finite[:, 1])[0, 1]) < OPPOSED

    def falling(self, share: float = 1.0) -> bool:
        """Whether the values of (nearly) every row fall from left to right."""
        if self.width < 2 or not len(self.finite):
            return False
        falls = (np.diff(self.finite, axis=1) <= ROUNDING).all(axis=1)
        return bool(falls.mean() >= share) and bool(np.ptp(self.finite, axis=1).max() > ROUNDING)

    def rising_share(self) -> float:
        """Share of the rows whose values rise from left to right."""
        if self.width < 2 or not len(self.finite):
            return 0.0
        return float((np.diff(self.finite, axis=1) >= -ROUNDING).all(axis=1).mean())

    def fits(self, labels: Array) -> Array:
        """(width,) R2 of each value as a prediction of numeric labels; -inf where it has no finite answer."""
        found = np.full(self.width, -np.inf)
        values, truth = self.values[self.some], np.asarray(labels, dtype=np.float64)[self.some]
        for place in range(self.width):
            usable = np.isfinite(values[:, place])
            if usable.sum() > 1:
                with np.errstate(all="ignore"):
                    found[place] = np.nan_to_num(float(r2(truth[usable], values[usable, place])), nan=-np.inf)
        return found
