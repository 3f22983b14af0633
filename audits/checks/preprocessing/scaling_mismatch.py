"""Validation columns are scaled otherwise than the model expects.

What it measures: for every numeric column (every channel of an image) the affine map a*x + b that carries the
    validation values onto the training values, by Theil-Sen over their quantiles, increasing or decreasing. A
    column is suspect when its distributions differ (Kolmogorov-Smirnov, Benjamini-Hochberg over the columns),
    the map explains the difference, and the map is far from the identity.
Why it matters: the network's weights are made for one scale. A scaler that was forgotten, applied twice or
    fitted anew, or another unit, turns a good model into noise without any error message.
When it is inconclusive: fewer than `min_rows` validation rows.
How to fix: fit the scaler on the training data, save it, and apply that very object to whatever the model sees;
    best as a Normalization layer inside the model.
Reference: Theil, 1950; Sen, 1968, https://doi.org/10.1080/01621459.1968.10480934; Benjamini & Hochberg, 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics.affine import AffineMap, fit_affine
from audits.statistics.distributions import ks_2samp_statistic, ks_pvalue
from audits.statistics.multiplicity import benjamini_hochberg
from schemas.limits.preprocessing import ScalingMismatch
from schemas.report import Effect, Remedy

CODE = "preprocessing.scaling_mismatch"
UNIT_FACTORS = {
    1000.0: "a factor of 1000 (milli, kilo)",
    2.54: "inch and centimetre",
    0.4536: "pound and kilogram",
    0.3048: "foot and metre",
    1.609: "mile and kilometre",
    100.0: "a factor of 100 (per cent, centi)",
    255.0: "0-255 and 0-1",
    127.5: "0-255 and -1..1",
}
FACTOR_TOLERANCE = 0.02
CHANCE_LEVEL = 0.05
HALF = 0.5
FACTOR_QUANTILES = np.linspace(0.05, 0.95, 19)
FACTOR_LEVEL = 0.01
MAX_COLUMNS_LISTED = 50


def scaling_mismatch(case: Case) -> CheckResult:
    """Judge the trial of rescaling."""
    limits = cast(ScalingMismatch, case.limits[CODE])
    n = len(case.mended)
    return judge(
        case,
        CODE,
        title="The validation data are scaled otherwise than the model expects",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Units whose validation values are an affine image of their training values."""
    limits = cast(ScalingMismatch, case.limits[CODE])
    if len(subject) < limits.min_rows or not case.space.units:
        return None
    maps = _maps(case, reference, subject)
    p_values = np.array([ks_pvalue(m.fit.ks_before, m.n_reference, m.n_subject) for m in maps])
    q_values = benjamini_hochberg(p_values)
    flagged = [
        m for m, q in zip(maps, q_values, strict=True) if q < limits.fdr and m.explains(limits) and m.is_far(limits)
    ]
    if not flagged:
        return None
    worst = max(flagged, key=lambda m: m.fit.ks_before)
    names = tuple(case.space.units[m.unit] for m in flagged)
    fault, intervention, evidence = _name_the_fault(flagged, len(maps), names, limits)

    def apply(faulty: Subject) -> Subject:
        changes = {m.unit: m.fit.apply for m in flagged}
        return case.rerun(faulty, case.space.map_units(faulty.rows, changes))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        return _replaced(faulty, case, {m.unit: other for m, other in _random_maps(maps, flagged, rng)})

    return Suspicion(
        code=CODE,
        intervention=intervention,
        apply=apply,
        placebo=placebo,
        columns=names,
        effect=Effect(
            name="kolmogorov_smirnov_distance",
            estimate=worst.fit.ks_before,
            limit=0.0,
            unit=f"of {case.space.units[worst.unit]}",
        ),
        p_value=float(p_values.min()),
        q_value=float(q_values.min()),
        evidence={
            "fault": fault,
            **evidence,
            "maps": {
                case.space.units[m.unit]: {
                    "scale": m.fit.scale,
                    "offset": m.fit.offset,
                    "distance_before": m.fit.ks_before,
                    "distance_after": m.fit.ks_after,
                }
                for m in flagged[:MAX_COLUMNS_LISTED]
            },
        },
        remedy=_remedy(case, flagged, fault),
    )


@dataclass(frozen=True)
class _UnitMap:
    """The map of one unit, with what is needed to judge it.

    Attributes:
        source, target: finite values of the validation and of the training rows.
        n_subject, n_reference: independent values among them.
    """

    unit: int
    fit: AffineMap
    source: Array
    target: Array
    reference_mean: float
    reference_sd: float
    subject_mean: float
    subject_sd: float
    subject_range: tuple[float, float]
    n_reference: int
    n_subject: int

    def explains(self, limits: ScalingMismatch) -> bool:
        """Whether the map takes the distance away: most of it, or half and what is left is chance."""
        left = self.fit.ks_after / self.fit.ks_before if self.fit.ks_before > 0 else 1.0
        if left < limits.max_distance_left:
            return True
        by_chance = ks_pvalue(self.fit.ks_after, self.n_reference, self.n_subject) > CHANCE_LEVEL
        return by_chance and left < HALF

    def is_far(self, limits: ScalingMismatch) -> bool:
        """Whether the map is no identity: by its scale, or by how far it moves the middle of the column."""
        shift = abs(self.fit.scale * self.subject_mean + self.fit.offset - self.subject_mean)
        factor = abs(np.log(max(abs(self.fit.scale), 1e-300)))
        return bool(
            self.fit.scale < 0
            or factor > np.log(limits.min_scale_factor)
            or shift > limits.min_offset_sd * self.reference_sd
        )


def _maps(case: Case, reference: Subject, subject: Subject) -> list[_UnitMap]:
    """One map per unit that varies in both splits."""
    maps = []
    for unit in range(len(case.space.units)):
        target, source = (_finite(case.space.values(s.rows, unit)) for s in (reference, subject))
        if len(target) < 2 or len(source) < 2 or np.ptp(target) == 0 or np.ptp(source) == 0:
            continue
        # an image has as many independent values as images, not as pixels
        n_reference, n_subject = min(len(target), len(reference)), min(len(source), len(subject))
        maps.append(
            _UnitMap(
                unit,
                fit_affine(source, target),
                source,
                target,
                float(target.mean()),
                float(target.std()),
                float(source.mean()),
                float(source.std()),
                (float(source.min()), float(source.max())),
                n_reference,
                n_subject,
            )
        )
    return maps


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def _random_maps(
    maps: list[_UnitMap], flagged: list[_UnitMap], rng: np.random.Generator
) -> list[tuple[_UnitMap, AffineMap]]:
    """As many maps, of the same strength, aimed at random: on random units, stretching or shrinking, never right."""
    targets = [maps[i] for i in rng.choice(len(maps), len(flagged), replace=False)]
    strengths = [flagged[i].fit for i in rng.permutation(len(flagged))]
    right = {m.unit: m.fit for m in flagged}
    return [(t, _wrong_map(t, s, right.get(t.unit), rng)) for t, s in zip(targets, strengths, strict=True)]


def _wrong_map(target: _UnitMap, strength: AffineMap, right: AffineMap | None, rng: np.random.Generator) -> AffineMap:
    """A map of the given strength; for a unit with a repair of its own, with another scale and the other way."""
    size = max(abs(strength.scale), 1e-12)
    # the way of the repair with a wrong offset would be half the repair: what it stretches the placebo shrinks
    scales = [s for s in (size, 1 / size, -size, -1 / size) if right is None or _is_other_way(s, right.scale)]
    scale = float(rng.choice(scales or [1.0]))
    mean, moved = target.subject_mean, rng.normal(0.0, 1.0) * target.subject_sd
    if right is not None:
        moved = -abs(moved) * float(np.sign(right.apply(np.array(mean)) - mean))
    return AffineMap(scale, mean * (1 - scale) + moved, strength.ks_before, strength.ks_after)


def _is_other_way(scale: float, right: float) -> bool:
    """Whether a scale stretches what the right one shrinks; near 1 any will do, since the offset goes the other way."""
    if abs(np.log(abs(right))) < np.log(1.2):
        # near 1 the offset goes the other way; near -1 the turn itself is the repair
        return right > 0 or scale > 0
    return bool(np.log(abs(scale)) * np.log(abs(right)) < 0)


def _replaced(faulty: Subject, case: Case, changes: dict[int, AffineMap]) -> Subject:
    return replace(faulty, rows=case.space.map_units(faulty.rows, {u: m.apply for u, m in changes.items()}))


def _name_the_fault(
    flagged: list[_UnitMap], considered: int, names: tuple[str, ...], limits: ScalingMismatch
) -> tuple[str, str, dict[str, str]]:
    """The fault in the user's words, the repair as the rest of "when we ...", and the details."""
    columns = _columns(names, considered)
    reference_standard = _mostly(flagged, lambda m: abs(m.reference_mean) < 0.2 and 0.7 < m.reference_sd < 1.4)
    subject_standard = _mostly(flagged, lambda m: abs(m.subject_mean) < 0.05 and 0.9 < m.subject_sd < 1.1)
    subject_min_max = _mostly(flagged, lambda m: abs(m.subject_range[0]) < 0.02 and abs(m.subject_range[1] - 1) < 0.02)
    factor = _common_factor(flagged, limits)
    if all(m.fit.scale < 0 for m in flagged):
        return "inverted", f"turn {columns} around (light for dark, sign for sign)", {}
    if factor is not None:
        return (
            "unit",
            f"convert {columns} by the factor {factor:.4g} that lies between the splits",
            {"factor": UNIT_FACTORS.get(_known(factor), f"{factor:.4g}")},
        )
    if reference_standard and subject_min_max:
        return (
            "min_max_for_standard",
            f"standardise {columns} with the training mean and deviation instead of scaling to [0, 1]",
            {},
        )
    if reference_standard and not subject_standard:
        if considered == len(flagged):
            return "not_standardised", f"standardise {columns} with the training mean and deviation", {}
        return "unit", f"carry {columns} back to the training unit and scale", {}
    if subject_standard:
        return (
            "standardised_by_itself",
            f"undo the standardisation of {columns} that the training data did not get",
            {},
        )
    return "affine", f"map {columns} onto the training scale", {}


def _mostly(flagged: list[_UnitMap], holds: Callable[[_UnitMap], bool]) -> bool:
    return sum(holds(m) for m in flagged) >= 0.8 * len(flagged)


def _columns(names: tuple[str, ...], considered: int) -> str:
    if len(names) == considered and considered > 3:
        return f"all {considered} columns"
    listed = ", ".join(names[:4])
    return listed if len(names) <= 4 else f"{len(names)} columns ({listed}, ...)"


def _common_factor(flagged: list[_UnitMap], limits: ScalingMismatch) -> float | None:
    """The factor that lies between the splits, when it explains all units without any offset."""
    # a column far from zero tells its factor most precisely
    precise = max(flagged, key=lambda m: abs(m.reference_mean) / m.reference_sd)
    x, y = (np.quantile(values, FACTOR_QUANTILES) for values in (precise.source, precise.target))
    factor = float(x @ y / max(x @ x, 1e-300))
    far = factor > 0 and abs(np.log(factor)) > np.log(limits.min_scale_factor)
    p_values = (ks_pvalue(ks_2samp_statistic(factor * m.source, m.target), m.n_reference, m.n_subject) for m in flagged)
    return factor if far and min(p_values) >= FACTOR_LEVEL / len(flagged) else None


def _known(factor: float) -> float:
    larger = max(factor, 1 / factor)
    return next((k for k in UNIT_FACTORS if abs(larger / max(k, 1 / k) - 1) < FACTOR_TOLERANCE), 0.0)


def _remedy(case: Case, flagged: list[_UnitMap], fault: str) -> Remedy:
    text = {
        "inverted": "Find the step that inverts the values in one split and apply it to both or to none.",
        "unit": "Convert these columns to the unit that the training data have before they reach the model.",
    }.get(
        fault,
        "Save the scaler that was fitted on the training data and apply that object, not a new one, to the "
        "validation data and in production; or put a Normalization layer into the model.",
    )
    if case.space.layout != "table":
        pairs = {m.unit: (round(m.fit.scale, 6), round(m.fit.offset, 6)) for m in flagged[:MAX_COLUMNS_LISTED]}
        code = (
            "import numpy as np\n\n"
            + constant("MAPS", pairs, "unit: (scale, offset), estimated from the two files")
            + "def onto_training_scale(x: np.ndarray) -> np.ndarray:\n"
            "    x = np.array(x, dtype='float32')\n"
            "    for unit, (scale, offset) in MAPS.items():\n"
            + (
                "        x[:, unit] = scale * x[:, unit] + offset\n"
                if case.space.layout == "vector"
                else "        x[..., unit] = scale * x[..., unit] + offset\n"
                if len(case.space.units) > 1
                else "        x = scale * x + offset\n"
            )
            + "    return x\n"
        )
        return Remedy(text=text, code=code)
    maps = {
        case.space.units[m.unit]: (round(m.fit.scale, 6), round(m.fit.offset, 6)) for m in flagged[:MAX_COLUMNS_LISTED]
    }
    code = (
        "import pandas as pd\n\n"
        + constant("MAPS", maps, "column: (scale, offset), estimated from the two files")
        + "def onto_training_scale(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    return frame.assign(**{c: a * frame[c] + b for c, (a, b) in MAPS.items()})\n"
    )
    return Remedy(text=text, code=code)
