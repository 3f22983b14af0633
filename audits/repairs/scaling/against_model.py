"""Hypotheses of a scale that both splits got wrong, from what the model holds or is usually fed.

The model holds statistics of its own (Normalization, Rescaling, a BatchNormalization that comes first), or it answers
the training rows well once they are on the right scale; see `audits.repairs.witness`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.evidence.case import Case, Subject
from audits.evidence.internals import LayerScale, layer_scales, saturation
from audits.repairs.protocol import Suspicion
from audits.repairs.scaling.maps import ScaleMap, UnitPair, pairs_of
from audits.repairs.scaling.placebo import random_maps
from audits.repairs.scaling.words import listed_columns, remedy_of
from audits.repairs.witness import is_poor, most_convincing
from schemas.limits.preprocessing import ScalingMismatch
from schemas.report import Effect

CODE = "preprocessing.scaling_mismatch"
STATISTICS = ("normalization", "batch_normalization")
# A spread that differs from the layer's by more than this factor is as far away as a mean.
MAX_SPREAD_FACTOR = 2.0
# A constant that scales inputs down by less than this is no range of pixels.
MIN_RANGE = 2.0


@dataclass(frozen=True)
class Hypothesis:
    """One way in which both files may be off.

    Attributes:
        fault: word for the evidence.
        words: the intervention, with `{columns}`.
        maps: unit -> the map onto the scale that the model expects.
        layers: what the model holds, for the units that it holds something of.
    """

    fault: str
    words: str
    maps: Mapping[int, ScaleMap]
    layers: Mapping[int, LayerScale]


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """The hypothesis under which the model is right about its training rows, if there is one."""
    limits = cast(ScalingMismatch, case.limits[CODE])
    if len(subject) < limits.min_rows or not case.space.units:
        return None
    pairs = pairs_of(case, reference, subject)
    hypotheses = [h for h in _hypotheses(case, pairs, limits) if h.maps]
    chosen = most_convincing(case, hypotheses, lambda rows, one: _mapped(case, rows, one))
    if chosen is None:
        return None
    maps = dict(chosen.maps)

    def apply(faulty: Subject) -> Subject:
        return _mapped(case, faulty, chosen)

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        wrong = {u: back.apply for u, back in random_maps(pairs, maps, rng).items()}
        return replace(faulty, rows=case.space.map_units(faulty.rows, wrong))

    names = [case.space.units[unit] for unit in maps]
    far = {unit: _distance(pair, chosen.layers[unit]) for pair in pairs if (unit := pair.unit) in chosen.layers}
    worst = max(far, key=lambda unit: far[unit]) if far else None
    return Suspicion(
        code=CODE,
        intervention=chosen.words.format(columns=listed_columns(names, len(case.space.units))) + " in both splits",
        apply=apply,
        placebo=placebo,
        columns=tuple(names),
        effect=Effect(
            name="distance_from_the_models_mean" if worst is not None else "columns_off_scale",
            estimate=far[worst] if worst is not None else float(len(maps)),
            limit=limits.max_layer_distance if worst is not None else 0.0,
            unit=f"layer standard deviations, of {case.space.units[worst]}" if worst is not None else None,
        ),
        evidence={
            "fault": chosen.fault,
            "maps": {
                case.space.units[u]: {"scale": back.scale, "offset": back.offset} for u, back in list(maps.items())[:50]
            },
            "model": _layers_told(case, pairs, chosen.layers),
            **saturation(case, reference, subject),
        },
        remedy=remedy_of(case.space, maps, chosen.fault, "from the training file and the model"),
    )


def _mapped(case: Case, faulty: Subject, hypothesis: Hypothesis) -> Subject:
    maps = {unit: back.apply for unit, back in hypothesis.maps.items()}
    return case.rerun(faulty, case.space.map_units(faulty.rows, maps))


def _hypotheses(case: Case, pairs: list[UnitPair], limits: ScalingMismatch) -> Iterator[Hypothesis]:
    layers = layer_scales(case, STATISTICS)
    pairs = [pair for pair in pairs if _are_alike(pair)]
    if not pairs:
        return
    far = [p for p in pairs if p.unit in layers and _is_far(p, layers[p.unit], limits)]
    if far:
        held = {pair.unit: layers[pair.unit] for pair in far}
        if all(pair.target_is_standard for pair in far):
            maps = {u: ScaleMap(layer.sd, layer.mean) for u, layer in held.items()}
            words = "undo the standardisation of {columns}, which the model makes itself,"
            yield Hypothesis("standardised_twice", words, maps, held)
        else:
            maps = {pair.unit: _onto(pair, layers[pair.unit]) for pair in far}
            yield Hypothesis("not_the_models_scale", "carry {columns} onto the scale that the model holds", maps, held)
    ranges = layer_scales(case, ("rescaling",))
    divided = [p for p in pairs if p.unit in ranges and _is_divided_already(p, ranges[p.unit])]
    if divided:
        maps = {p.unit: ScaleMap(ranges[p.unit].sd, ranges[p.unit].mean) for p in divided}
        words = "undo the scaling of {columns}, which the model makes itself,"
        yield Hypothesis("rescaled_twice", words, maps, {p.unit: ranges[p.unit] for p in divided})
    if far or divided or not is_poor(case):
        return
    yield from _without_witness(case, [p for p in pairs if p.unit not in layers and p.unit not in ranges])


def _without_witness(case: Case, pairs: list[UnitPair]) -> Iterator[Hypothesis]:
    """What models without statistics of their own are usually fed, from the training rows."""
    raw = [pair for pair in pairs if not pair.target_is_standard]
    if not raw:
        return
    if case.space.layout == "image" and max(pair.target[-1] for pair in raw) > MIN_RANGE:
        yield Hypothesis("0-255 for 0-1", "divide {columns} by 255", {p.unit: ScaleMap(1 / 255, 0.0) for p in raw}, {})
    standard = {}
    for pair in raw:
        mean, sd = pair.target_moments
        standard[pair.unit] = ScaleMap(1 / sd, -mean / sd)
    words = "standardise {columns} with the training mean and deviation"
    yield Hypothesis("not_standardised", words, standard, {})
    unit = {}
    for pair in raw:
        low, high = float(pair.target[0]), float(pair.target[-1])
        unit[pair.unit] = ScaleMap(1 / (high - low), -low / (high - low))
    yield Hypothesis("not_min_max", "scale {columns} to [0, 1] with the training range", unit, {})


def _are_alike(pair: UnitPair) -> bool:
    """Whether the two splits have one scale; where they differ, one of them is mapped onto the other first."""
    (mean, sd), (other_mean, other_sd) = pair.source_moments, pair.target_moments
    return abs(mean - other_mean) < max(sd, other_sd) and max(sd, other_sd) < MAX_SPREAD_FACTOR * min(sd, other_sd)


def _distance(pair: UnitPair, layer: LayerScale) -> float:
    """Of the nearer split's mean from the layer's, in the layer's deviations."""
    means = (pair.source_moments[0], pair.target_moments[0])
    return float(min(abs(mean - layer.mean) for mean in means) / layer.sd)


def _is_far(pair: UnitPair, layer: LayerScale, limits: ScalingMismatch) -> bool:
    spread = pair.target_moments[1] / layer.sd
    return _distance(pair, layer) > limits.max_layer_distance or not (
        1 / MAX_SPREAD_FACTOR < spread < MAX_SPREAD_FACTOR
    )


def _is_divided_already(pair: UnitPair, layer: LayerScale) -> bool:
    """Whether the values already lie where the model's own constant would put them."""
    if layer.sd < MIN_RANGE:
        return False
    limit = 1.5
    return all(np.abs(values).max() <= limit for values in (pair.source, pair.target))


def _onto(pair: UnitPair, layer: LayerScale) -> ScaleMap:
    """From the training rows' statistics to the layer's."""
    mean, sd = pair.target_moments
    scale = layer.sd / sd
    return ScaleMap(scale, layer.mean - scale * mean)


def _layers_told(case: Case, pairs: list[UnitPair], layers: Mapping[int, LayerScale]) -> JsonValue:
    return {
        case.space.units[pair.unit]: {
            "layer": layers[pair.unit].layer.name,
            "kind": layers[pair.unit].layer.kind,
            "mean": layers[pair.unit].mean,
            "sd": layers[pair.unit].sd,
            "train_mean": pair.target_moments[0],
            "train_sd": pair.target_moments[1],
            "validation_mean": pair.source_moments[0],
            "validation_sd": pair.source_moments[1],
        }
        for pair in pairs[:50]
        if pair.unit in layers
    }
