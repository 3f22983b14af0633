"""Segments of the rows that can be said in words: a value of a column, a tail of a column, a leaf of a shallow tree."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from audits.artefacts import Array, Rows
from audits.evidence.features import FeatureSpace

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# A column of at most so many different training values is a category, whatever its type.
MAX_VALUES = 8
MAX_CATEGORIES = 30
MAX_GROUPS = 20
TREE_DEPTH = 2
# Beyond so many columns, a tail of each is more tests than the rows can bear.
MAX_COLUMNS = 100


@dataclass(frozen=True)
class Condition:
    """One comparison of one column."""

    column: str
    sign: str
    value: Any

    def holds(self, values: Array) -> Array:
        """(rows,) of the column's values; a missing value fulfils nothing."""
        with np.errstate(invalid="ignore"):
            if self.sign == "==":
                return np.asarray(values == self.value)
            return np.asarray(values >= self.value if self.sign == ">=" else values < self.value)

    def __str__(self) -> str:
        value = f"{self.value:.6g}" if isinstance(self.value, float) else repr(self.value)
        return f"{self.column} {'is' if self.sign == '==' else self.sign} {value}"


@dataclass(frozen=True)
class Segment:
    """Rows that fulfil every condition."""

    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return " and ".join(str(condition) for condition in self.conditions)

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(condition.column for condition in self.conditions))

    def mask(self, columns: "Columns", rows: Rows, groups: Array | None) -> Array:
        """(rows,) booleans."""
        inside = np.ones(len(rows), dtype=bool)
        for condition in self.conditions:
            inside &= condition.holds(columns.of(condition.column, rows, groups))
        return inside

    def code(self, *, table: bool, positions: dict[str, int]) -> str:
        """The conditions as an expression of `features`, a frame or a matrix."""
        terms = []
        for one in self.conditions:
            at = f"features[{one.column!r}]" if table else f"features[:, {positions.get(one.column, 0)}]"
            terms.append(f"({at} {one.sign} {one.value!r})")
        return " & ".join(terms)


@dataclass(frozen=True)
class Columns:
    """The columns that segments are made of: numeric units, texts, and the groups where they are few."""

    space: FeatureSpace
    group: str | None = None

    @property
    def names(self) -> list[str]:
        """Empty for images: no pixel makes a segment that anybody could name."""
        own = [] if self.space.layout == "image" else [*self.space.units, *self.space.texts][:MAX_COLUMNS]
        return own + ([self.group] if self.group else [])

    def of(self, name: str, rows: Rows, groups: Array | None) -> Array:
        if name == self.group and groups is not None:
            return groups
        if name in self.space.units:
            return self.space.values(rows, self.space.units.index(name))
        return np.asarray(cast("pd.DataFrame", rows)[name].to_numpy(dtype=object))

    def is_text(self, name: str) -> bool:
        return name not in self.space.units


def simple_segments(columns: Columns, train: Rows, groups: Array | None) -> list[Segment]:
    """Every frequent value of a category, and both sides of the training quantiles of a quantity."""
    segments: list[Segment] = []
    for name in columns.names:
        values = columns.of(name, train, groups)
        if columns.is_text(name):
            counts = pd.Series(values).value_counts()
            segments += [Segment((Condition(name, "==", plain(v)),)) for v in counts.index[:MAX_CATEGORIES]]
            continue
        known = values[np.isfinite(values)]
        distinct = np.unique(known)
        if len(distinct) <= 1:
            continue
        if len(distinct) <= MAX_VALUES:
            segments += [Segment((Condition(name, "==", float(v)),)) for v in distinct]
            continue
        for cut in np.unique(np.quantile(known, QUANTILES)):
            segments += [Segment((Condition(name, sign, readable(float(cut))),)) for sign in ("<", ">=")]
    return segments


def leaves(columns: Columns, rows: Rows, groups: Array | None, loss: Array, min_rows: int) -> list[Segment]:
    """Leaves of a shallow tree that looks for rows of high loss.

    Args:
        columns: what the tree may look at; texts of a few values as one column each.
        rows: (rows,) features.
        groups: (rows,) where there are any.
        loss: (rows,) what is high where the model fares badly.
        min_rows: of a leaf.
    """
    matrix: list[Array] = []
    means: list[tuple[str, Any]] = []
    for name in columns.names:
        values = columns.of(name, rows, groups)
        if columns.is_text(name):
            for value in pd.Series(values).value_counts().index[:MAX_VALUES]:
                matrix.append((values == value).astype(float))
                means.append((name, plain(value)))
        elif np.isfinite(values).all():
            matrix.append(np.clip(values, -1e30, 1e30))
            means.append((name, None))
    if not matrix or len(loss) < 2 * min_rows:
        return []
    tree = DecisionTreeRegressor(max_depth=TREE_DEPTH, min_samples_leaf=min_rows, random_state=0)
    tree.fit(np.column_stack(matrix), loss)
    return [Segment(path) for path in _paths(tree.tree_, means) if path]


def _paths(tree: Any, means: list[tuple[str, Any]]) -> list[tuple[Condition, ...]]:
    """The conditions of each leaf; "is not" cannot be said, so that such leaves are left out."""
    found: list[tuple[Condition, ...]] = []

    def walk(node: int, path: tuple[Condition, ...]) -> None:
        if tree.children_left[node] < 0:
            found.append(path)
            return
        name, value = means[tree.feature[node]]
        if value is not None:
            walk(tree.children_right[node], (*path, Condition(name, "==", value)))
            return
        cut = readable(float(tree.threshold[node]))
        walk(tree.children_left[node], (*path, Condition(name, "<", cut)))
        walk(tree.children_right[node], (*path, Condition(name, ">=", cut)))

    walk(0, ())
    return found


def readable(value: float) -> float:
    """Without the digits that only the arithmetic made."""
    return float(f"{value:.9g}")


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
