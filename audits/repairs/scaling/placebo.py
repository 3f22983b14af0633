"""Maps of the same strength as the right ones, aimed at random: what a repair of scales is held against."""

from collections.abc import Sequence

import numpy as np

from audits.repairs.scaling.maps import ScaleMap, UnitPair


def random_maps(pairs: Sequence[UnitPair], right: dict[int, ScaleMap], rng: np.random.Generator) -> dict[int, ScaleMap]:
    """As many maps on random units, stretching or shrinking, never right.

    Args:
        pairs: every unit that could be mapped.
        right: unit -> the map that is being proven.
        rng: source of the draws.
    """
    targets = [pairs[i] for i in rng.choice(len(pairs), len(right), replace=False)]
    by_unit = {pair.unit: pair for pair in pairs}
    units = list(right)
    strengths = [_slope(right[unit], by_unit[unit]) for unit in (units[i] for i in rng.permutation(len(units)))]
    return {
        target.unit: _wrong_map(target, strength, right.get(target.unit), rng)
        for target, strength in zip(targets, strengths, strict=True)
    }


def _slope(back: ScaleMap, pair: UnitPair) -> float:
    """How much the map stretches, on the whole."""
    if back.is_affine:
        return back.scale
    return float(back.apply(pair.source).std() / pair.source_moments[1])


def _wrong_map(target: UnitPair, strength: float, right: ScaleMap | None, rng: np.random.Generator) -> ScaleMap:
    """A map of the given strength; for a unit with a repair of its own, with another scale and the other way."""
    size = max(abs(strength), 1e-12)
    slope = None if right is None else _slope(right, target)
    # the way of the repair with a wrong offset would be half the repair: what it stretches the placebo shrinks
    scales = [s for s in (size, 1 / size, -size, -1 / size) if slope is None or _is_other_way(s, slope)]
    scale = float(rng.choice(scales or [1.0]))
    mean, sd = target.source_moments
    moved = rng.normal(0.0, 1.0) * sd
    if right is not None:
        moved = -abs(moved) * float(np.sign(right.apply(np.array(mean)) - mean))
    return ScaleMap(scale, mean * (1 - scale) + moved)


def _is_other_way(scale: float, right: float) -> bool:
    """Whether a scale stretches what the right one shrinks; near 1 any will do, since the offset goes the other way."""
    if abs(np.log(max(abs(right), 1e-300))) < np.log(1.2):
        # near 1 the offset goes the other way; near -1 the turn itself is the repair
        return right > 0 or scale > 0
    return bool(np.log(abs(scale)) * np.log(abs(right)) < 0)
