"""What the metric loses when columns are changed: how much the model relies on them, and what a fault costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.repairs.protocol import gain_of
from schemas.report import Confirmation, Effect, Estimate

SHUFFLES = 3


def replaced(case: Case, rows: Rows, columns: Mapping[str, Callable[[Array], Array]]) -> Rows:
    """A copy of the rows in which each named column's values went through its function."""
    units = {case.space.units.index(n): f for n, f in columns.items() if n not in case.space.texts}
    texts = {n: f for n, f in columns.items() if n in case.space.texts}
    changed = case.space.map_units(rows, units)
    if not texts:
        return changed
    frame = cast("pd.DataFrame", changed)
    return frame.assign(**{n: f(frame[n].to_numpy(dtype=object)) for n, f in texts.items()})


def loss_from(
    case: Case, subject: Subject, columns: Mapping[str, Callable[[Array], Array]], purpose: str
) -> tuple[Estimate, Subject]:
    """What the metric loses on these rows when the columns are changed (paired interval), and the changed rows."""
    spoilt = case.rerun(subject, replaced(case, subject.rows, columns))
    return gain_of(case, spoilt, subject, purpose), spoilt


def shuffled(case: Case, subject: Subject, column: str, shuffle: int = 0) -> Subject:
    """The subject with the column in another order, and the model run again."""
    order = case.rng(f"shuffle {shuffle}").permutation(len(subject))
    rows = subject.rows
    if isinstance(rows, pd.DataFrame):
        # as it was read: whole numbers beyond 2^53 would not survive the way through float64
        return case.rerun(subject, rows.assign(**{column: rows[column].to_numpy()[order]}))
    return case.rerun(subject, replaced(case, rows, {column: lambda values: values[order]}))


def reliance(case: Case, subject: Subject, column: str) -> Estimate:
    """What the metric loses when the column is shuffled: the median shuffle, with its paired interval."""
    falls = [gain_of(case, shuffled(case, subject, column, i), subject, "reliance") for i in range(SHUFFLES)]
    falls.sort(key=lambda fall: cast(float, fall.estimate))
    return falls[len(falls) // 2]


@dataclass(frozen=True)
class Imitation:
    """A fault of the validation data, made in the training rows too: what is lost for good can be measured there.

    Attributes:
        metric: of the case.
        cost: what the training metric loses, with its paired interval.
        before, after: the training metric without and with the fault.
        gap: training metric minus validation metric: what there is to explain.
        falls_for_certain: whether the validation metric lies below the training metric with its whole interval.
    """

    metric: str
    cost: Estimate
    before: float
    after: float
    gap: float
    falls_for_certain: bool

    @property
    def interval(self) -> tuple[float, float]:
        return cast("tuple[float, float]", self.cost.interval)

    def is_material(self, min_cost: float) -> bool:
        return self.interval[0] > min_cost and self.gap > min_cost

    def effect(self, min_cost: float) -> Effect:
        return Effect(
            name="loss_of_the_training_metric",
            estimate=cast(float, self.cost.estimate),
            interval=self.interval,
            limit=min_cost,
        )

    def confirmation(self, intervention: str) -> Confirmation:
        """Of a fault that was made on purpose; confirmed where the loss is certain."""
        low, high = self.interval
        return Confirmation(
            confirmed=low > 0,
            intervention=intervention,
            metric=self.metric,
            before=self.before,
            after=self.after,
            gain_interval=(-high, -low),
            n=self.cost.n,
        )

    def explained(self) -> Estimate:
        """What the loss explains of the gap between the splits."""
        return explained(self.cost, self.gap)


def explained(cost: Estimate, gap: float) -> Estimate:
    """What a loss of the training metric explains of the gap between the splits: not more than there is."""
    most = max(gap, 0.0)
    low, high = cast("tuple[float, float]", cost.interval)
    return Estimate(
        estimate=min(cast(float, cost.estimate), most),
        interval=(min(low, most), min(high, max(most, low))),
        n=cost.n,
    )


def imitate(case: Case, columns: Mapping[str, Callable[[Array], Array]], purpose: str) -> Imitation:
    """Change the columns of the training rows as the fault has changed those of the validation rows."""
    sample = case.train.sample
    cost, spoilt = loss_from(case, sample, columns, purpose)
    train, (validation, interval) = case.train_score[0], case.mended_score
    return Imitation(
        case.scorer.metric, cost, case.score(sample), case.score(spoilt), train - validation, interval[1] < train
    )


def placed(at: Array, values: Array) -> Callable[[Array], Array]:
    """Puts the values where the mask holds."""

    def change(column: Array) -> Array:
        column = column.copy()
        column[at] = values
        return column

    return change


def set_to(value: Any) -> Callable[[Array], Array]:
    def change(values: Array) -> Array:
        return np.full(len(values), value, dtype=values.dtype)

    return change
