"""Training rows are younger than validation rows.

What it measures: with data.time named, over all rows, the share of validation rows that lie before the end of the
    training data (the time of which 99 % of the training rows are older, so that one stray stamp decides nothing); how
    thoroughly the splits interleave (runs test along time); and whether the metric falls after the training data end
    or towards the end of the validation data. Without data.time, a column of time stamps is looked at and mentioned.
Why it matters: a model that is used tomorrow cannot learn from the day after. Dealt at random, the rows tell it what
    comes next, and the metric promises what it will not do on new days.
When it is inconclusive: the stamps cannot be read, are of different kinds in the two splits, or all missing; the
    metric over time, when fewer than 20 rows are on either side.
How to fix: train on the past and validate on what comes after it, with a gap as long as the label takes to be known.
Reference: Kapoor & Narayanan, 2023, https://doi.org/10.1016/j.patter.2023.100804; Tashman, 2000,
    https://doi.org/10.1016/S0169-2070(00)00065-0; Wald & Wolfowitz, 1940, https://doi.org/10.1214/aoms/1177731909
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.entities import comparable_times, looks_like_times
from audits.evidence.scoring import quantile_interval
from audits.results import CheckResult
from audits.statistics.distributions import runs_test
from audits.statistics.intervals import wilson
from schemas.limits.preprocessing import TemporalLeakage
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.temporal_leakage"
TITLE = "The model was trained on the future"
MIN_ROWS = 20
# The end of the training data is the time of which this share of them is older or as old.
END = 0.99
# Where all validation rows lie in the same period as the training rows: their last share, against those before.
LATE = 0.25


def temporal_leakage(case: Case) -> CheckResult:
    """Compare the times of both splits, then the metric over time."""
    limits = cast(TemporalLeakage, case.limits[CODE])
    if "time" not in case.train.roles or "time" not in case.validation.roles:
        return _undeclared(case, limits)
    column = case.request.data.name_of("time") or "time"
    times = comparable_times(case.train.roles["time"], case.validation.roles["time"])
    if times is None:
        return CheckResult.inconclusive(f"{column} cannot be read as time in both splits")
    order = _Order.of(*times)
    if order is None:
        return CheckResult.inconclusive(f"no row names its {column}")
    if order.constant:
        return CheckResult.not_applicable(f"{column} has the same value in every row")
    if order.share <= limits.min_share:
        return CheckResult.passed(smallest=limits.min_share, margin=limits.min_share)
    trend = _trend(case, times[1], order)
    critical = trend is not None and trend.low > limits.min_fall
    summary = (
        f"{order.share:.0%} of the validation rows are from before the end of the training data ({column}: training "
        f"{order.text('train')}, validation {order.text('validation')}). For a validation row, {order.younger:.0%} of "
        "the training rows come from its future on average."
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        title=TITLE,
        summary=summary,
        effect=Effect(
            name="share_of_validation_rows_before_the_end_of_training",
            estimate=order.share,
            interval=wilson(order.share * order.n, order.n),
            limit=limits.min_share,
        ),
        n=case.validation.n,
        affected=Affected(columns=[column], share_of_rows=order.share),
        evidence=order.as_json(times) | {"metric_over_time": None if trend is None else trend.as_json(case)},
        remedy=_remedy(column),
    )
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=_confirmation(case, order, trend, column),
        explanation=summary + ("" if trend is None else trend.sentence(case)),
    )


@dataclass(frozen=True)
class _Order:
    """How the splits lie to each other in time.

    Attributes:
        share: of the validation rows before the end of the training data.
        younger: share of the pairs of a training and a validation row in which the training row is younger.
        end: of the training data.
        spans: of each split, first and last, as text.
        runs, expected_runs: of rows of one split along time, and how many there are when they were dealt at random.
        n: validation rows that name their time.
    """

    share: float
    younger: float
    end: float
    spans: dict[str, tuple[float, float]]
    runs: int
    expected_runs: float
    constant: bool
    n: int

    @classmethod
    def of(cls, train: Array, validation: Array) -> "_Order | None":
        ours, theirs = np.sort(train[~np.isnan(train)]), np.sort(validation[~np.isnan(validation)])
        if not len(ours) or not len(theirs):
            return None
        end = float(ours[int(np.ceil(END * len(ours))) - 1])
        younger = 1 - np.searchsorted(ours, theirs, side="right") / len(ours)
        both = np.concatenate([ours, theirs])
        owner = np.repeat([0, 1], [len(ours), len(theirs)])
        # stamps that are equal have no order: training and validation rows take turns in theirs
        turn = np.concatenate([(np.arange(len(part)) + 0.5) / len(part) for part in (ours, theirs)])
        test = runs_test(owner[np.lexsort((turn, both))])
        spans = {"train": (ours[0], ours[-1]), "validation": (theirs[0], theirs[-1])}
        return cls(
            share=float((theirs < end).mean()),
            younger=float(younger.mean()),
            end=end,
            spans={name: (float(low), float(high)) for name, (low, high) in spans.items()},
            runs=int(test.runs),
            expected_runs=float(test.expected),
            constant=bool(both.min() == both.max()),
            n=len(theirs),
        )

    def text(self, split: str) -> str:
        return " to ".join(_text(value) for value in self.spans[split])

    def as_json(self, times: tuple[Array, Array]) -> dict[str, JsonValue]:
        missing = [int(np.isnan(part).sum()) for part in times]
        return {
            "training": {"from": _text(self.spans["train"][0]), "to": _text(self.spans["train"][1])},
            "validation": {"from": _text(self.spans["validation"][0]), "to": _text(self.spans["validation"][1])},
            "end_of_training": _text(self.end),
            "younger_training_rows": self.younger,
            "runs": {"found": self.runs, "expected_of_random_dealing": self.expected_runs},
            "rows_without_time": {"training": missing[0], "validation": missing[1]},
        }


def _text(value: float) -> str:
    # seconds since 1970 from 1973 on; smaller numbers are years, days or counts
    if 1e8 < abs(value) < 1e11:
        return str(pd.Timestamp(value, unit="s").isoformat(sep=" ", timespec="seconds")).removesuffix(" 00:00:00")
    return f"{value:g}"


@dataclass(frozen=True)
class _Trend:
    """How much the metric falls with time on the validation rows.

    Attributes:
        fall: the metric on earlier rows minus that on later ones.
        later: what later means, in words.
    """

    fall: Estimate
    earlier_score: float
    later_score: float
    later: str
    n_later: int

    @property
    def interval(self) -> tuple[float, float]:
        return cast("tuple[float, float]", self.fall.interval)

    @property
    def low(self) -> float:
        return self.interval[0]

    def as_json(self, case: Case) -> dict[str, JsonValue]:
        return {
            "metric": case.scorer.metric,
            "later": self.later,
            "later_rows": self.n_later,
            "earlier_score": self.earlier_score,
            "later_score": self.later_score,
            "fall": self.fall.estimate,
            "interval": list(self.interval),
        }

    def sentence(self, case: Case) -> str:
        low, high = self.interval
        return (
            f" On the rows {self.later}, {case.scorer.title} is {self.later_score:.2f}, on those before "
            f"{self.earlier_score:.2f} (fall {low:+.3f} to {high:+.3f})."
        )


def _trend(case: Case, times: Array, order: _Order) -> _Trend | None:
    """After the end of training, or in the last quarter of the validation rows where too few lie after it."""
    subject = case.mended
    at = times[subject.index]
    known = ~np.isnan(at)
    if known.sum() < 2 * MIN_ROWS:
        return None
    subject, at = subject.at(known), at[known]
    late, words = at > order.end, "after the end of the training data"
    if late.sum() < MIN_ROWS:
        late, words = at > np.quantile(at, 1 - LATE), "of the last quarter"
    if min(late.sum(), (~late).sum()) < MIN_ROWS:
        return None
    sides = [subject.at(~late), subject.at(late)]
    if not case.is_regression and any(len(np.unique(s.labels)) < len(np.unique(subject.labels)) for s in sides):
        return None

    def fall(weights: Array, y: Array, a: Array, later: Array) -> Array:
        return case.scorer.score_answers(y, a, weights * ~later) - case.scorer.score_answers(y, a, weights * later)

    columns = (subject.labels, case.scorer.answers(subject.predictions), late)
    interval = quantile_interval(case.scorer.resample(columns, fall, case.rng("metric over time"), subject.groups))
    earlier, later = (case.score(side) for side in sides)
    if not np.isfinite([*interval, earlier, later]).all():
        return None
    estimate = Estimate(estimate=earlier - later, interval=interval, n=len(subject))
    return _Trend(estimate, earlier, later, words, int(late.sum()))


def _confirmation(case: Case, order: _Order, trend: _Trend | None, column: str) -> Confirmation:
    """Which row is younger is certain; where there are rows from after the training data, what it costs is measured."""
    if trend is None or "quarter" in trend.later:
        return Confirmation(
            confirmed=True,
            intervention=f"none is needed: the {column} of all rows were compared. A split by time has no such rows; "
            "too few validation rows come after the training data to say what the metric is on them",
            metric="share_of_validation_rows_before_the_end_of_training",
            higher_is_better=False,
            before=order.share,
            after=0.0,
            n=order.n,
        )
    low, high = trend.interval
    return Confirmation(
        confirmed=True,
        intervention=f"keep the {trend.n_later} validation rows {trend.later}",
        metric=case.scorer.metric,
        before=trend.earlier_score,
        after=trend.later_score,
        gain_interval=(-high, -low),
        n=len(case.mended),
    )


def _undeclared(case: Case, limits: TemporalLeakage) -> CheckResult:
    """Mention the first column of time stamps by which the splits overlap; nobody said that time matters."""
    reason = "data.time names no column"
    ours, theirs = case.train.sample.rows, case.validation.sample.rows
    if not isinstance(ours, pd.DataFrame) or not isinstance(theirs, pd.DataFrame):
        return CheckResult.not_applicable(reason)
    for name in ours.columns:
        values, others = ours[name].to_numpy(), theirs[name].to_numpy()
        if values.dtype.kind != "M" and not (values.dtype == object and looks_like_times(values)):
            continue
        times = comparable_times(values, others)
        order = None if times is None else _Order.of(*times)
        if order is None or order.constant or order.share <= limits.min_share:
            continue
        finding = Finding(
            code=CODE,
            family="preprocessing",
            severity=Severity.INFO,
            title="Training and validation rows are from the same time",
            summary=f"{order.share:.0%} of the validation rows are from before the end of the training data ({name}). "
            "If the model is to be used on later rows, name the column in data.time and split by it.",
            effect=Effect(
                name="share_of_validation_rows_before_the_end_of_training",
                estimate=order.share,
                limit=limits.min_share,
            ),
            n=len(theirs),
            affected=Affected(columns=[str(name)], share_of_rows=order.share),
            evidence=order.as_json(cast("tuple[Array, Array]", times)),
            remedy=_remedy(str(name)),
        )
        return CheckResult(Outcome.PASS, reason + "; observed without it", finding=finding, ranks=False)
    return CheckResult.not_applicable(reason)


def _remedy(column: str) -> Remedy:
    return Remedy(
        text="Train on the rows up to a day and validate on those after it, with a gap as long as the label takes to "
        "be known; for cross-validation use sklearn's TimeSeriesSplit. Until then, the metric speaks of days that the "
        "model has seen the end of.",
        code=(
            "import pandas as pd\n\n"
            f"TIME = {column!r}\n\n"
            "def split_by_time(table: pd.DataFrame, share: float = 0.25):\n"
            "    ordered = table.sort_values(TIME, kind='stable')\n"
            "    cut = ordered[TIME].iloc[int(len(ordered) * (1 - share))]\n"
            "    return ordered[ordered[TIME] < cut], ordered[ordered[TIME] >= cut]\n"
        ),
    )
