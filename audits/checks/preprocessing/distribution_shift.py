"""The validation rows come from elsewhere.

What it measures: the AUC with which a forest, out of bag, tells validation rows from training rows of the
    same class shares (classifier two-sample test), after all proven faults were repaired; and what the shift
    costs, by weighting the validation rows to the training density. Where the splits hardly overlap, no weighting can
    tell, and that is said. Where all rows have changed, none mends it: it costs what a control learner loses as well.
    Of images it says whether they are blurrier or sharper.
Why it matters: a model promises nothing outside the population that it was trained on. A shift that costs
    nothing is benign and no reason to act.
When it is inconclusive: fewer than `min_rows` rows of a split.
How to fix: train on data that cover the population of use; until then weight the training rows, and watch the
    inputs.
Reference: Lopez-Paz & Oquab, 2017, https://arxiv.org/abs/1610.06545; Podkopaev & Ramdas, 2022,
    https://arxiv.org/abs/2110.06177; Sugiyama, Krauledat & Mueller, 2007
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, ControlMatrix
from audits.evidence.gap import shift_auc
from audits.evidence.images import ImageForm, fine_detail
from audits.evidence.scoring import quantile_interval
from audits.results import CheckResult
from audits.statistics.distributions import ks_2samp_statistic
from audits.statistics.intervals import difference
from audits.statistics.shift import density_ratio, effective_sample_size
from schemas.limits.preprocessing import DistributionShift
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.distribution_shift"
# Where fewer than one in ten rows of a neighbourhood are training rows, its density ratio is anybody's guess ...
EDGE = 0.1
# ... and when that holds for half of the validation rows, so is the cost of the shift.
MIN_OVERLAP = 0.5
PLACEBOS = 19
# Images of one source agree in their share of fine detail within a few per cent.
SHARPNESS_FACTOR = 1.25
# Rows of the two splits that are told apart four times in five differ in more than how often they occur.
STRONG_AUC = 0.8


def distribution_shift(case: Case) -> CheckResult:
    """Tell the splits apart, then ask what the difference costs."""
    limits = cast(DistributionShift, case.limits[CODE])
    matrix = case.control
    if matrix.reason is not None or matrix.train is None or matrix.validation is None:
        return CheckResult.inconclusive(matrix.reason or "no control learner")
    for split, rows in (("training", matrix.train), ("validation", matrix.validation)):
        if len(rows) < limits.min_rows:
            return CheckResult.inconclusive(f"{len(rows)} of {limits.min_rows} {split} rows")
    auc, interval = cast("tuple[float, tuple[float, float]]", shift_auc(case))
    if interval[0] <= limits.min_auc:
        return CheckResult.passed(smallest=limits.min_auc + (interval[1] - interval[0]) / 2, margin=limits.certain_auc)
    cost, effective = _cost(case, matrix, limits)
    fall = _fall_of_control(case, matrix, limits) if interval[0] > STRONG_AUC else None
    columns = _moved_columns(case)
    sharpness = _sharpness(case)
    summary = (
        f"Training and validation rows can be told apart (two-sample AUC {auc:.2f})"
        + (f"; {', '.join(columns[:4])} moved most." if columns else ".")
        + _sharpness_sentence(sharpness)
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.WARNING if fall or _matters(cost, interval[0], limits) else Severity.INFO,
        title="The validation rows come from elsewhere",
        summary=summary,
        effect=Effect(name="two_sample_auc", estimate=auc, interval=interval, limit=limits.min_auc),
        n=len(matrix.train) + len(matrix.validation),
        affected=Affected(columns=columns, share_of_rows=1.0),
        evidence={
            "effective_rows": effective,
            "cost": None
            if cost is None
            else {"estimate": cost.value, "interval": list(cost.interval), "placebo": cost.placebo},
            "overlap": "too small to weight" if cost is None else "enough",
            **({} if sharpness is None else {"fine_detail_relative_to_training": sharpness}),
        },
        remedy=_remedy(case, columns, sharpness),
    )
    benign = finding.severity is Severity.INFO
    return CheckResult(
        Outcome.PASS if benign else Outcome.FAIL,
        "the splits differ, and no cost to the metric could be shown" if benign else None,
        finding=finding,
        confirmation=None if cost is None or not cost.is_material(limits) else _confirmation(case, matrix, cost),
        recovered=None if cost is None or not cost.is_material(limits) else cost.estimate,
        explanation=summary + _sentence(case, cost, effective) + _sentence_of_control(case, cost, fall, limits),
        ranks=not benign,
    )


@dataclass(frozen=True)
class _Cost:
    """What the shift costs, in the primary metric, and the most that weights dealt out at random gain.

    The interval takes the weights as given, and is somewhat too narrow for it; the placebo stands beside it.
    """

    estimate: Estimate
    placebo: float

    @property
    def value(self) -> float:
        return cast(float, self.estimate.estimate)

    @property
    def interval(self) -> tuple[float, float]:
        return cast("tuple[float, float]", self.estimate.interval)

    def is_material(self, limits: DistributionShift) -> bool:
        return self.interval[0] > limits.min_cost and self.value > self.placebo


def _matters(cost: _Cost | None, auc: float, limits: DistributionShift) -> bool:
    """Costly beyond the margin, or so far away that the metric speaks of another population."""
    return cost is None or auc > limits.certain_auc or cost.is_material(limits)


def _fall_of_control(case: Case, matrix: ControlMatrix, limits: DistributionShift) -> tuple[float, float] | None:
    """The control learner's scores at home and away, where it and the model fall beyond the margin for certain.

    Where every row has changed (noise on a sensor, another camera), no row has a weight that would mend it.
    """
    home, away = matrix.scores.get("train->train"), matrix.scores.get("train->validation")
    intervals = matrix.intervals.get("train->train"), matrix.intervals.get("train->validation")
    if home is None or away is None or intervals[0] is None or intervals[1] is None:
        return None
    train, (_, validation) = case.train_score, case.mended_score
    if difference(train[0], train[1], case.mended_score[0], validation)[0] <= limits.min_cost:
        return None
    return (home, away) if difference(home, intervals[0], away, intervals[1])[0] > limits.min_cost else None


def _cost(case: Case, matrix: ControlMatrix, limits: DistributionShift) -> tuple[_Cost | None, float]:
    """The metric weighted to the training density minus the metric as it is, and the effective rows behind it."""
    subject = matrix.validation
    assert subject is not None  # noqa: S101 - the caller has looked
    weights = density_ratio(1 - matrix.domain_validation, 1, 1, limits.max_weight)
    effective = float(effective_sample_size(weights))
    overlapping = float((matrix.domain_validation < 1 - EDGE).mean())
    if effective < limits.min_effective_rows or overlapping < MIN_OVERLAP:
        return None, effective
    answers = case.scorer.answers(subject.predictions)

    def gain(counts: Array, y: Array, a: Array, ratio: Array) -> Array:
        return case.scorer.score_answers(y, a, counts * ratio) - case.scorer.score_answers(y, a, counts)

    rng = case.rng("shift")
    columns = (subject.labels, answers, weights)
    draws = case.scorer.resample(columns, gain, rng, subject.groups)
    all_rows = np.ones((1, len(subject)))
    point = float(gain(all_rows, *columns)[0])
    # the same weights, dealt out at random: what weighting gains when it knows nothing of the shift
    shuffled = (rng.permutation(weights) for _ in range(PLACEBOS))
    placebo = max(float(gain(all_rows, subject.labels, answers, ratio)[0]) for ratio in shuffled)
    estimate = Estimate(estimate=point, interval=quantile_interval(draws), n=len(subject))
    return _Cost(estimate, placebo), effective


def _moved_columns(case: Case) -> list[str]:
    """The columns whose distributions differ most, largest first."""
    moved = []
    for unit, name in enumerate(case.space.units):
        ours, theirs = (case.space.values(s.rows, unit) for s in (case.mended, case.train.sample))
        ours, theirs = ours[np.isfinite(ours)], theirs[np.isfinite(theirs)]
        if len(ours) and len(theirs):
            moved.append((ks_2samp_statistic(ours, theirs), name))
    return [name for distance, name in sorted(moved, reverse=True)[:10] if distance > 0.1]


def _sharpness(case: Case) -> float | None:
    """How much fine detail the validation images hold, as a multiple of the training images'; None for no images."""
    form = ImageForm.of(case.space, case.mended.rows)
    if form is None:
        return None
    ours, theirs = (fine_detail(cast("Array", s.rows), form) for s in (case.mended, case.train.sample))
    return ours / theirs if ours is not None and theirs else None


def _other_sharpness(sharpness: float | None) -> bool:
    return sharpness is not None and not 1 / SHARPNESS_FACTOR < sharpness < SHARPNESS_FACTOR


def _sharpness_sentence(sharpness: float | None) -> str:
    if sharpness is None or not _other_sharpness(sharpness):
        return ""
    how = "blurrier" if sharpness < 1 else "sharper or noisier"
    return (
        f" The validation images are {how} than the training images: they hold {sharpness:.2f} times as much fine "
        "detail. Compare how both were resized, interpolated and compressed."
    )


def _confirmation(case: Case, matrix: ControlMatrix, cost: _Cost) -> Confirmation:
    assert matrix.validation is not None  # noqa: S101 - the caller has looked
    before = case.score(matrix.validation)
    return Confirmation(
        confirmed=True,
        intervention="weight the validation rows to the training density",
        metric=case.scorer.metric,
        before=before,
        after=before + cost.value,
        gain_interval=cost.interval,
        placebo_gain=cost.placebo,
        n=len(matrix.validation),
    )


def _sentence(case: Case, cost: _Cost | None, effective: float) -> str:
    if cost is None:
        return (
            f" They overlap too little to weight one to the other ({effective:.0f} effective rows): the validation "
            "metric speaks of another population than the training."
        )
    low, high = cost.interval
    return (
        f" Weighted to the training density, {case.scorer.title} changes by {cost.value:+.3f} "
        f"({low:+.3f} to {high:+.3f})."
    )


def _sentence_of_control(
    case: Case, cost: _Cost | None, fall: tuple[float, float] | None, limits: DistributionShift
) -> str:
    if fall is None or cost is None or cost.is_material(limits):
        return ""
    return (
        f" Weights mend nothing where all rows have changed: a control learner, too, falls from {fall[0]:.2f} to "
        f"{fall[1]:.2f} in {case.scorer.title}."
    )


def _remedy(case: Case, columns: list[str], sharpness: float | None) -> Remedy:
    text = (
        "Find out why the two samples differ (time, site, filter) and collect training data that cover the "
        "population of use; then train again. Compare the named columns first."
    )
    if _other_sharpness(sharpness):
        text = (
            "Resize and compress the images of both splits with the same code: size, interpolation, antialiasing and "
            "quality. If the sources differ, train on images of the quality that the model will meet."
        )
        code = (
            "import numpy as np\n\n"
            "def fine_detail(x: np.ndarray) -> float:\n"
            '    """Compare this number between the splits, before and after each step of the preprocessing."""\n'
            "    return float(np.mean([np.square(np.diff(x, axis=a)).mean() for a in (1, 2)]) / x.var())\n"
        )
        return Remedy(text=text, code=code)
    if case.space.layout != "table" or not columns:
        return Remedy(text=text)
    code = (
        "import pandas as pd\n\n"
        f"COLUMNS = {columns!r}\n\n"
        "def compare(train: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:\n"
        "    return pd.concat({'train': train[COLUMNS].describe(), 'validation': validation[COLUMNS].describe()}, "
        "axis=1)\n"
    )
    return Remedy(text=text, code=code)
