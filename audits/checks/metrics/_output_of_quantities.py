"""Can the output of a regression reach the targets, and is it in their unit?"""

from dataclasses import replace
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.checks.metrics._output import CODE, Mismatch, activation_remedy, answered, op_of, width_of
from audits.evidence.case import Case, Subject
from audits.evidence.scoring import quantile_interval
from audits.repairs.label_units import LabelUnit, units_of
from audits.repairs.protocol import gain_of
from audits.statistics import activations, intervals, metrics, resampling
from schemas.limits.metrics import OutputMismatch
from schemas.report import Confirmation, Effect, Remedy

RESAMPLES = 500


def out_of_reach(case: Case) -> Mismatch | None:
    """Targets outside what the last activation can answer, in both splits."""
    limits = cast(OutputMismatch, case.limits[CODE])
    reach = activations.range_of(op_of(case), width_of(case))
    if reach is None:
        return None
    lost = [_lost_to_range(case, subject, reach) for subject in answered(case)]
    if min(interval[0] for _, interval in lost) <= limits.min_loss:
        return None
    (_, validation), (loss, interval) = answered(case), lost[1]
    low, high = reach
    outside = (validation.labels < low) | (validation.labels > high)
    share, score, ceiling = float(outside.mean()), case.score(case.mended), 1 - loss
    span = f"at most {high:g}" if low == -np.inf else f"at least {low:g}" if high == np.inf else f"{low:g} to {high:g}"
    return Mismatch(
        title="The last activation cannot reach the targets",
        summary=f"The model ends in {op_of(case)}, which answers {span}; {share:.0%} of the validation targets lie "
        f"outside (they go from {validation.labels.min():.4g} to {validation.labels.max():.4g}). No weights reach an "
        f"R2 above {ceiling:.2f}; the model has {score:.2f}.",
        effect=Effect(name="r2_out_of_reach", estimate=loss, interval=interval, limit=limits.min_loss),
        evidence={
            "range": [None if np.isinf(end) else float(end) for end in reach],
            "share_of_targets_outside": share,
            "share_interval": list(intervals.wilson(int(outside.sum()), len(outside))),
            "greatest_r2": ceiling,
        },
        remedy=activation_remedy(case, "Train again with a linear output layer, or scale the targets into its range"),
        confirmation=Confirmation(
            confirmed=True,
            intervention=f"give the best answers that {op_of(case)} can: the targets themselves, cut to {span}",
            metric="r2",
            before=score,
            after=ceiling,
            n=len(validation),
            by_exclusion=True,
        ),
    )


def _lost_to_range(case: Case, subject: Subject, reach: tuple[float, float]) -> tuple[float, tuple[float, float]]:
    """What the range takes from a perfect R2, with its bootstrap interval."""
    lost = 1 - float(activations.ceiling_r2(subject.labels, reach))
    if lost <= 0 or not np.isfinite(lost):
        return 0.0, (0.0, 0.0)
    counts = resampling.count_chunks(
        len(subject), case.rng("out of reach"), n_resamples=RESAMPLES, groups=subject.groups
    )
    draws = np.concatenate([1 - activations.ceiling_r2(subject.labels, reach, chunk) for chunk in counts])
    return lost, quantile_interval(draws)


def another_unit(case: Case) -> Mismatch | None:
    """Answers that are the labels of both splits in another unit: the unit is chosen on the training rows alone."""
    limits = cast(OutputMismatch, case.limits[CODE])
    train, validation = answered(case)
    unit = _best_unit(train, limits)
    if unit is None:
        return None
    after = _in_unit(validation, unit)
    gain = gain_of(case, validation, after, "another unit")
    estimate, interval = cast(float, gain.estimate), cast("tuple[float, float]", gain.interval)
    if interval[0] <= limits.min_gain or case.score(after) < limits.min_fit:
        return None
    rng = case.rng("another unit placebo")
    placebo = max(
        case.score(_in_unit(replace(after, predictions=validation.predictions.at(rng.permutation(len(after)))), unit))
        - case.score(validation)
        for _ in range(limits.placebos)
    )
    if estimate <= placebo:
        return None
    before, score = case.score(validation), case.score(after)
    answers = cast("Array", validation.predictions.values)
    return Mismatch(
        title="The model answers in another unit than the labels",
        summary=f"The answers go from {answers.min():.4g} to {answers.max():.4g}, the labels of both splits from "
        f"{validation.labels.min():.4g} to {validation.labels.max():.4g}: the labels were {unit.name} for training, "
        f"and the answers never brought back. When they are ({unit.code}), R2 goes from {before:.2f} to {score:.2f}.",
        effect=Effect(name="gain_in_r2", estimate=estimate, interval=interval, limit=limits.min_gain),
        evidence={"labels_were": unit.name, "back": unit.code},
        remedy=Remedy(
            text="Bring the answers back to the unit of the labels, best inside the exported model.",
            code="import numpy as np\n\n"
            "def in_units_of_the_labels(answer: np.ndarray) -> np.ndarray:\n"
            f"    answer = np.asarray(answer, dtype='float64')\n    return {unit.code}\n",
        ),
        confirmation=Confirmation(
            confirmed=True,
            intervention=f"undo that the labels were {unit.name}: {unit.code}",
            metric="r2",
            before=before,
            after=score,
            gain_interval=interval,
            placebo_gain=placebo,
            n=len(validation),
        ),
        recovered=gain,
    )


def _best_unit(train: Subject, limits: OutputMismatch) -> LabelUnit | None:
    """The unit in which the training answers fit the labels, as well as any line would, and far better than as given.

    A model that has learned little answers with too little spread, and some factor would help it too; that is no
    unit. So its answers must lie on the labels without a slope or an offset being fitted.
    """
    answers, labels = cast("Array", train.predictions.values), train.labels
    if np.ptp(answers) == 0:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        fits = [(float(metrics.r2(labels, unit.back(answers))), unit) for unit in units_of(labels)]
    fit, unit = max(fits, key=lambda pair: np.nan_to_num(pair[0], nan=-np.inf))
    if not fit >= limits.min_fit:
        return None
    mapped = unit.back(answers)
    slope = float(np.cov(mapped, labels)[0, 1] / max(float(mapped.var(ddof=1)), 1e-300))
    best_line = float(np.corrcoef(mapped, labels)[0, 1] ** 2)
    tolerance = limits.max_slope if unit.exact else 1 + (limits.max_slope - 1) / 2
    if fit - float(metrics.r2(labels, answers)) < limits.min_gain:
        return None
    return unit if 1 / tolerance < slope < tolerance and best_line - fit < limits.max_misfit else None


def _in_unit(subject: Subject, unit: LabelUnit) -> Subject:
    answers = unit.back(cast("Array", subject.predictions.values))
    return replace(subject, predictions=replace(subject.predictions, values=answers))
