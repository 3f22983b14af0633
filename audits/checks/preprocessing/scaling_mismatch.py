"""A split is scaled otherwise than the model expects.

What it measures: for every numeric column (every channel of an image) the map that carries the validation values
    onto the training values: one of the named faults (another unit, a scaler that was forgotten, applied twice or
    fitted anew, min-max for z-scores, 0-255 for 0-1, a logarithm, an inversion, part of the rows in another unit),
    or a*x + b by Theil-Sen over the quantiles; names are chosen over all columns together by BIC. A column is
    suspect when its distributions differ (Kolmogorov-Smirnov, Benjamini-Hochberg over the columns), the map explains
    the difference, and it is far from the identity. The statistics that the model itself holds (Normalization,
    Rescaling, a BatchNormalization that comes first) are held against both splits: a scaler that was applied to,
    or forgotten for, both files shows nowhere else.
Why it matters: the network's weights are made for one scale. A scaler that was forgotten, applied twice or
    fitted anew, or another unit, turns a good model into noise without any error message.
When it is inconclusive: fewer than `min_rows` validation rows.
How to fix: fit the scaler on the training data, save it, and apply that very object to whatever the model sees;
    best as a Normalization layer inside the model.
Reference: Theil, 1950; Sen, 1968, https://doi.org/10.1080/01621459.1968.10480934; Schwarz, 1978,
    https://doi.org/10.1214/aos/1176344136; Benjamini & Hochberg, 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np

from audits.artefacts import Rows
from audits.evidence.case import Case, Subject
from audits.evidence.control import domain_scores
from audits.evidence.internals import saturation
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.scaling import against_model as model_scale
from audits.repairs.scaling.maps import ScaleMap, pairs_of
from audits.repairs.scaling.names import NamedMap, free_map, named
from audits.repairs.scaling.placebo import random_maps
from audits.repairs.scaling.words import evidence_of, remedy_of, words_of
from audits.repairs.witness import Witnessed, judge_witnessed
from audits.results import CheckResult
from audits.statistics.distributions import ks_pvalue
from audits.statistics.metrics import roc_auc
from audits.statistics.multiplicity import benjamini_hochberg
from schemas.limits.preprocessing import ScalingMismatch
from schemas.report import Effect

CODE = model_scale.CODE
WITNESSED = (
    "Both splits are scaled otherwise than the model expects",
    "The training file is not scaled as the data that the model was trained on",
)
OF_TRAINING = (
    "The validation data are on the scale that the model expects, the training file is not. When we {intervention}, "
    "in the training rows, and run the same model again, their {metric} goes from {before} to {after}."
)
CHANCE_LEVEL = 0.05
# Beyond, no choice of rows moves a column of a population: in training deviations, and as a factor of the spread.
STRONG_SHIFT = 3.0
STRONG_FACTOR = 3.0
# What a forest must still see of the difference, of all that it saw, for rows to have been chosen.
SELECTED_SHARE = 0.4
LEAST_SELECTED = 0.6
SELECTION_ROWS = 1_500
HALF = 0.5


def scaling_mismatch(case: Case) -> CheckResult:
    """Judge the trial of rescaling, or what was proven of the training file before it."""
    limits = cast(ScalingMismatch, case.limits[CODE])
    n = len(case.mended)
    witnessed = case.witnessed.get(CODE)
    if isinstance(witnessed, Witnessed):
        return judge_witnessed(case, CODE, witnessed, titles=WITNESSED, training_summary=OF_TRAINING)
    return judge(
        case,
        CODE,
        title="The validation data are scaled otherwise than the model expects",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Units whose validation values are an image of their training values."""
    limits = cast(ScalingMismatch, case.limits[CODE])
    if len(subject) < limits.min_rows or not case.space.units:
        return None
    pairs = pairs_of(case, reference, subject)
    p_values = np.array([ks_pvalue(pair.distance, pair.n_target, pair.n_source) for pair in pairs])
    q_values = benjamini_hochberg(p_values)
    different = [pair for pair, q in zip(pairs, q_values, strict=True) if q < limits.fdr]
    chosen = [_or_free(one, limits) for one in named(different, len(pairs))]
    flagged = [one for one in chosen if _explains(one, limits) and _is_far(one, limits)]
    if not flagged:
        return None
    maps = {one.pair.unit: one.back for one in flagged}
    if not any(_is_strong(one) for one in flagged) and _is_selection(case, reference, subject, maps):
        return None
    worst = max(flagged, key=lambda one: one.pair.fit.ks_before)
    fault, detail, intervention = words_of(flagged, len(pairs))

    def apply(faulty: Subject) -> Subject:
        return case.rerun(faulty, case.space.map_units(faulty.rows, {u: back.apply for u, back in maps.items()}))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        wrong = {u: back.apply for u, back in random_maps(pairs, maps, rng).items()}
        return replace(faulty, rows=case.space.map_units(faulty.rows, wrong))

    return Suspicion(
        code=CODE,
        intervention=intervention,
        apply=apply,
        placebo=placebo,
        columns=tuple(one.pair.name for one in flagged),
        effect=Effect(
            name="kolmogorov_smirnov_distance",
            estimate=worst.pair.fit.ks_before,
            limit=0.0,
            unit=f"of {worst.pair.name}",
        ),
        p_value=float(p_values.min()),
        q_value=float(q_values.min()),
        evidence={
            "fault": fault,
            **({"factor" if fault.startswith("unit") else "detail": detail} if detail else {}),
            "maps": evidence_of(flagged),
            **saturation(case, reference, subject),
        },
        remedy=remedy_of(case.space, maps, fault, _comment(flagged)),
    )


def _or_free(one: NamedMap, limits: ScalingMismatch) -> NamedMap:
    """The map, or one without a name where the named one does not explain the difference: few levels fit many names."""
    return one if _explains(one, limits) else free_map(one.pair)


def _explains(one: NamedMap, limits: ScalingMismatch) -> bool:
    """Whether the map takes the distance away: most of it, or half and what is left is chance."""
    before, after = one.pair.fit.ks_before, one.pair.distance_after(one.back)
    if one.back.is_affine and one.name.fault == "affine":
        # values that the map carries onto a spike but for their last digits count as on it
        after = one.pair.fit.ks_after
    left = after / before if before > 0 else 1.0
    if left < limits.max_distance_left:
        return True
    return ks_pvalue(after, one.pair.n_target, one.pair.n_source) > CHANCE_LEVEL and left < HALF


def _is_far(one: NamedMap, limits: ScalingMismatch) -> bool:
    """Whether the map is no identity: by its scale, or by how far it moves the middle of the column."""
    if not one.back.is_affine:
        return True
    mean = one.pair.source_moments[0]
    shift = abs(float(one.back.apply(np.array(mean))) - mean)
    factor = abs(np.log(max(abs(one.back.scale), 1e-300)))
    return bool(
        one.back.scale < 0
        or factor > np.log(limits.min_scale_factor)
        or shift > limits.min_offset_sd * one.pair.target_moments[1]
    )


def _is_strong(one: NamedMap) -> bool:
    """Whether no choice of rows would move a column as far."""
    if not one.back.is_affine or one.back.scale < 0:
        return one.back.is_affine
    mean, deviation = one.pair.source_moments[0], one.pair.target_moments[1]
    shift = abs(float(one.back.apply(np.array(mean))) - mean)
    return bool(abs(np.log(one.back.scale)) > np.log(STRONG_FACTOR) or shift > STRONG_SHIFT * deviation)


def _is_selection(case: Case, reference: Subject, subject: Subject, maps: Mapping[int, ScaleMap]) -> bool:
    """Whether the rows were chosen rather than scaled: a forest still tells the splits apart once they are mapped.

    A scale that is undone gives the joint distribution back; a choice of rows has changed it.
    """
    rng = case.rng("selection")
    one, other = (s.at(np.sort(rng.permutation(len(s))[:SELECTION_ROWS])) for s in (reference, subject))
    mapped = case.space.map_units(other.rows, {u: back.apply for u, back in maps.items()})
    before, after = (_told_apart(case, one.rows, rows) for rows in (other.rows, mapped))
    return after > LEAST_SELECTED and after - 0.5 > SELECTED_SHARE * (before - 0.5)


def _told_apart(case: Case, reference: Rows, rows: Rows) -> float:
    """The AUC with which a forest, out of bag, tells two sets of rows apart."""
    ours, theirs = case.encoder.columns(reference), case.encoder.columns(rows)
    used = (np.ones(len(part), dtype=bool) for part in (ours, theirs))
    scores = np.concatenate(domain_scores(ours, theirs, *used))
    return float(roc_auc(scores, np.repeat([False, True], [len(ours), len(theirs)])))


def _comment(flagged: list[NamedMap]) -> str:
    exact = all(one.fitted == 0 and one.name.fault != "affine" for one in flagged)
    return "as the named fault has it" if exact else "estimated from the two files"
