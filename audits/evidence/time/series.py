"""The validation rows as a time series: their order, the last value that was known, and naive forecasts.

Which past values a forecast may use depends on its horizon, and no request says it. A feature that holds the label
of an earlier row says it: that label was known. Without one, the value of the step before is only compared, never
held against the model.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.entities import NO_ENTITY, comparable_times, entity_codes
from audits.statistics.series import block_codes, block_length

MIN_STEPS = 30
MAX_LAG = 48
# Looked at for a label of an earlier row, and for a season: a fraction shows what all would.
MAX_COLUMNS = 1000
MAX_ROWS = 2000
MAX_SEASON_STEPS = 5000
MAX_SEASON = 400
# Of the rows, at least: those that have a time, and those whose time is their own (within their group).
MIN_TIMED = 0.95
MIN_DISTINCT = 0.8
# A feature that holds an earlier label is its affine image; one that merely moves with the labels is not.
SAME_SERIES = 1e-4
MUCH_BETTER = 0.1
# A season must forecast the training series so much better than the last known value.
SEASON_GAIN = 0.7
SAME_SEASON = 1.1


@dataclass(frozen=True)
class Series:
    """Rows in time.

    Attributes:
        order: (rows,) positions of the subject's rows, by group and time.
        declared: the request named a time column; else the rows' order is the file's.
        horizon: steps back to the last label that a feature holds; None where no feature holds one.
        lag: steps back to the value that the naive forecast repeats: the horizon, a season, or 1.
        naive: (rows,) that value; NaN where there is none.
        naive_error: mean absolute error of repeating the value of the step before, on the training rows.
    """

    order: Array
    declared: bool
    horizon: int | None
    lag: int
    naive: Array
    naive_error: float


@dataclass(frozen=True)
class _Steps:
    """All rows of both splits, averaged over rows of one time and group, in order.

    Attributes:
        values: (steps,) labels.
        group: (steps,) codes; a step has no past in another group.
        from_train: (steps,).
        step_of: (validation rows,) each row's step.
        order: (validation rows,) positions by group and time.
    """

    values: Array
    group: Array
    from_train: Array
    step_of: Array
    order: Array

    def back(self, lag: int) -> Array:
        """(steps,) the value `lag` steps before, NaN where there is none."""
        past = np.full(len(self.values), np.nan)
        past[lag:] = np.where(self.group[lag:] == self.group[:-lag], self.values[:-lag], np.nan)
        return past


def series_of(case: Case, subject: Subject) -> Series | None:
    """The subject's rows as a series; None where they are none, or no regression."""
    if not case.is_regression:
        return None
    declared = "time" in case.validation.roles
    steps = _steps(case) if declared else _file_order(case)
    if steps is None:
        return None
    at = steps.step_of[subject.index]
    horizon = _horizon(case, subject, steps, at)
    if horizon is None and not declared:
        return None
    lag = _best_lag(steps, horizon or 1)
    errors = np.abs(steps.values - steps.back(1))[steps.from_train]
    known = errors[np.isfinite(errors)]
    return Series(
        _order_of(steps, subject),
        declared,
        horizon,
        lag,
        steps.back(lag)[at],
        float(known.mean()) if len(known) else float("nan"),
    )


def dependent_blocks(case: Case, subject: Subject) -> Array | None:
    """(rows,) codes of blocks that stand or fall together, where time was named and the rows' errors depend on it.

    None where they do not, or where groups say already what belongs together.
    """
    if subject.groups is not None or "time" not in case.validation.roles or len(subject) < MIN_STEPS:
        return None
    times = _times(case)
    if times is None or not _are_known(times[1]):
        return None
    order = np.argsort(times[1][subject.index], kind="stable")
    length = max(block_length(influence[order]) for influence in _influences(case, subject))
    return None if length <= 1 else block_codes(order, length)


def _influences(case: Case, subject: Subject) -> list[Array]:
    """Each (rows,), what a row adds to the metric; of R2 also the error itself, whose mean is no longer 0 when errors
    keep their sign for long.
    """
    answers = case.scorer.answers(subject.predictions)
    if not case.is_regression:
        return [(answers == subject.labels).astype(np.float64)]
    errors, spread = answers - subject.labels, np.square(subject.labels - subject.labels.mean())
    share = float(np.mean(np.square(errors))) / max(float(spread.mean()), 1e-300)
    return [np.square(errors) - share * spread, errors]


def _order_of(steps: _Steps, subject: Subject) -> Array:
    rank = np.empty(len(steps.order), dtype=np.int64)
    rank[steps.order] = np.arange(len(steps.order))
    return np.argsort(rank[subject.index], kind="stable")


def _steps(case: Case) -> _Steps | None:
    times = _times(case)
    if times is None or not all(_are_known(of_split) for of_split in times):
        return None
    rows = pd.DataFrame(
        {
            "group": _series_codes(case),
            "time": np.concatenate(times),
            "label": np.concatenate([case.train.labels, case.validation.labels]).astype(np.float64),
            "train": np.arange(case.train.n + case.validation.n) < case.train.n,
        }
    )
    validation = rows[~rows["train"]]
    distinct = validation.drop_duplicates(["group", "time"])
    if len(distinct) < max(MIN_STEPS, MIN_DISTINCT * len(validation)):
        return None
    steps = rows.groupby(["group", "time"], sort=True, as_index=False).agg({"label": "mean", "train": "all"})
    steps["step"] = np.arange(len(steps))
    # rows without a time stand at the first step; they are few
    step_of = validation.merge(steps[["group", "time", "step"]], on=["group", "time"], how="left")["step"]
    at = step_of.fillna(0).to_numpy(dtype=np.int64)
    return _Steps(
        steps["label"].to_numpy(dtype=np.float64),
        pd.factorize(steps["group"])[0],
        steps["train"].to_numpy(dtype=bool),
        at,
        np.argsort(at, kind="stable"),
    )


def _times(case: Case) -> tuple[Array, Array] | None:
    """(rows,) of each split, on one scale; None where they cannot be compared."""
    train, validation = (split.roles.get("time") for split in (case.train, case.validation))
    return None if train is None or validation is None else comparable_times(train, validation)


def _are_known(times: Array) -> bool:
    return bool(np.isfinite(times).mean() >= MIN_TIMED)


def _series_codes(case: Case) -> Array:
    """(training rows and validation rows,) which series a row belongs to; without a group it is one of its own."""
    train, validation = (split.roles.get("group") for split in (case.train, case.validation))
    if train is None or validation is None:
        return np.zeros(case.train.n + case.validation.n, dtype=np.int64)
    codes = np.concatenate(entity_codes(train, validation))
    return np.where(codes == NO_ENTITY, -1 - np.arange(len(codes)), codes)


def _file_order(case: Case) -> _Steps | None:
    """The validation rows one after the other, and the training rows before them as another group."""
    n_train, n = case.train.n, case.validation.n
    if n < MIN_STEPS or case.train.roles.get("group") is not None:
        return None
    return _Steps(
        np.concatenate([case.train.labels, case.validation.labels]).astype(np.float64),
        np.repeat([0, 1], [n_train, n]),
        np.repeat([True, False], [n_train, n]),
        n_train + np.arange(n),
        np.arange(n),
    )


def _horizon(case: Case, subject: Subject, steps: _Steps, at: Array) -> int | None:
    """The fewest steps back to a label that a feature holds."""
    rows = subject.rows
    columns = case.space.matrix(rows) if isinstance(rows, pd.DataFrame) else rows.reshape(len(rows), -1)
    if not 0 < columns.shape[1] <= MAX_COLUMNS:
        return None
    some = np.unique(np.linspace(0, len(columns) - 1, MAX_ROWS).astype(np.int64))
    columns, at = np.asarray(columns[some], dtype=np.float64), at[some]
    now = _unexplained(columns, np.asarray(subject.labels[some], dtype=np.float64))
    for lag in range(1, min(MAX_LAG, len(steps.values) // 3) + 1):
        past = steps.back(lag)[at]
        left = _unexplained(columns, past)
        if np.any((left < SAME_SERIES) & (left < MUCH_BETTER * now)):
            return lag
    return None


def _unexplained(columns: Array, values: Array) -> Array:
    """(columns,) share of the values' variance that no line of the column explains; 1 where too little is known."""
    known = np.isfinite(values)
    left = np.ones(columns.shape[1])
    if known.sum() < MIN_STEPS:
        return left
    x, y = columns[known], values[known] - values[known].mean()
    whole = np.isfinite(x).all(axis=0)
    x = x[:, whole] - x[:, whole].mean(axis=0)
    squares = np.square(x).sum(axis=0) * float(y @ y)
    left[whole] = np.where(squares > 0, 1 - np.square(y @ x) / np.where(squares > 0, squares, 1.0), 1.0)
    return left


def _best_lag(steps: _Steps, least: int) -> int:
    """The last known value, or the season that forecasts the training series clearly better."""
    train = np.flatnonzero(steps.from_train)[-MAX_SEASON_STEPS:]
    values, group = steps.values[train], steps.group[train]
    errors = {lag: _lag_error(values, group, lag) for lag in range(least, min(MAX_SEASON, len(train) // 3) + 1)}
    if not errors:
        return least
    # of a season and its multiples, which forecast alike, the shortest
    season = min(lag for lag, error in errors.items() if error <= SAME_SEASON * min(errors.values()))
    return season if errors[season] < SEASON_GAIN * errors[least] else least


def _lag_error(values: Array, group: Array, lag: int) -> float:
    """Mean squared difference of (steps,) values `lag` apart within a group; infinite where hardly any are."""
    squares = np.square(values[lag:] - values[:-lag])[group[lag:] == group[:-lag]]
    return float(squares.mean()) if len(squares) >= MIN_STEPS else float("inf")
