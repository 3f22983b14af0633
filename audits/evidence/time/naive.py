"""A forecast beside the naive one: what repeating the last known value, or that of a season ago, would have given."""

from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.scoring import quantile_interval
from audits.evidence.time.series import MIN_STEPS, Series, series_of
from audits.statistics.resampling import count_chunks
from audits.statistics.series import block_codes, block_length, forecast_sums, leaning, mase, skill_over
from schemas.base import finite

RESAMPLES = 1000


@dataclass(frozen=True)
class NaiveComparison:
    """The model against the naive forecast, on the same rows.

    Attributes:
        series: the rows in time.
        n: rows that have a naive forecast.
        skill, interval: 1 - squared error / squared error of the naive forecast, 95 % over blocks of dependent rows.
        lean, lean_interval: correlation of the answers with the last known value minus that with the truth.
        mase: mean absolute error in units of the naive one's on the training rows; NaN where that is 0.
        block: rows that were drawn together.
    """

    series: Series
    n: int
    skill: float
    interval: tuple[float, float]
    lean: float
    lean_interval: tuple[float, float]
    mase: float
    block: int

    @property
    def copies(self) -> bool:
        """The answers follow the last known value rather than the truth."""
        return self.lean_interval[0] > 0

    @property
    def known_in_time(self) -> bool:
        """Whether the naive forecast could have been made when the model's was: a feature holds its value."""
        return self.series.horizon is not None

    def is_fault(self, min_skill: float) -> bool:
        """Whether the model surely adds nothing that matters: a copy of the last value, or worse than it."""
        return self.known_in_time and (self.interval[1] < 0 or (self.copies and self.interval[1] < min_skill))

    @property
    def what(self) -> str:
        """The naive forecast in words."""
        lag, horizon = self.series.lag, self.series.horizon or 1
        if lag == horizon:
            return "the last known value" if lag == 1 else f"the last known value ({lag} steps back)"
        return f"the value of a season ago ({lag} steps back)"

    def describe(self) -> str:
        return f"skill over {self.what} {self.skill:.2f} [{self.interval[0]:.2f}, {self.interval[1]:.2f}]"

    def evidence(self) -> dict[str, JsonValue]:
        return {
            "skill_over_naive": self.skill,
            "skill_over_naive_interval": list(self.interval),
            "naive_lag": self.series.lag,
            "last_known_lag": self.series.horizon,
            "lean_on_last_value": self.lean,
            "lean_on_last_value_interval": list(self.lean_interval),
            "mase": finite(self.mase),
            "rows_drawn_together": self.block,
            "time_declared": self.series.declared,
        }


def naive_comparison(case: Case) -> NaiveComparison | None:
    """Compare on the mended validation rows; None where these are no series, or too short a one."""
    subject = case.mended
    series = series_of(case, subject)
    if series is None:
        return None
    labels = np.asarray(subject.labels, dtype=np.float64)
    answers = np.asarray(case.scorer.answers(subject.predictions), dtype=np.float64)
    in_order = series.order[np.isfinite(series.naive[series.order])]
    if len(in_order) < MIN_STEPS:
        return None
    y, a, b = labels[in_order], answers[in_order], series.naive[in_order]
    if not np.ptp(y) > 0 or not np.any(b != y):
        return None
    groups, block = _units(y, a, b, None if subject.groups is None else subject.groups[in_order])
    sums = forecast_sums(y, a, b)
    # rows that are drawn together are one row of their sums
    drawn = sums if groups is None else np.stack([np.bincount(groups, column) for column in sums.T], axis=-1)
    chunks = count_chunks(len(drawn), case.rng("naive forecast"), n_resamples=RESAMPLES)
    draws = np.concatenate([counts @ drawn for counts in chunks])
    whole = sums.sum(axis=0)
    return NaiveComparison(
        series,
        len(y),
        float(skill_over(whole)),
        quantile_interval(skill_over(draws)),
        float(leaning(whole)),
        quantile_interval(leaning(draws)),
        mase(y, a, series.naive_error),
        block,
    )


def _units(y: Array, a: Array, b: Array, groups: Array | None) -> tuple[Array | None, int]:
    """What is drawn together: groups, or blocks as long as the differences of the squared errors depend."""
    if groups is not None:
        return np.unique(groups, return_inverse=True)[1], 1
    length = max(block_length(np.square(a - y) - np.square(b - y)), block_length(np.square(y - y.mean())))
    return (None if length <= 1 else block_codes(np.arange(len(y)), length)), length
