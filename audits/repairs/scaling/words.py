"""What is told of maps between two scales: the fault, the intervention, the details and the code."""

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from audits.evidence.features import FeatureSpace
from audits.repairs.scaling.maps import ScaleMap, UnitPair
from audits.repairs.scaling.names import NamedMap
from audits.repairs.snippets import constant
from schemas.report import Remedy

MAX_LISTED = 50
MAX_PHRASES = 3
MOSTLY = 0.8

PHRASES = {
    "unit": "convert {columns} back from another unit ({detail})",
    "factor": "convert {columns} by the factor {detail} that lies between the splits",
    "unit_of_some_rows": "convert the rows of {columns} that are in another unit ({detail})",
    "inverted": "turn {columns} around (light for dark, sign for sign)",
    "transformed": "undo {detail} that {columns} went through",
    "standardised": "undo the standardisation of {columns} that the training data did not get",
    "standardised_by_itself": "undo the standardisation of {columns} that the training data did not get",
    "standardised_twice": "undo the standardisation that {columns} went through twice",
    "min_max": "undo the scaling of {columns} to [0, 1] that the training data did not get",
    "min_max_for_standard": "standardise {columns} with the training mean and deviation instead of scaling to [0, 1]",
    "standard_for_min_max": "scale {columns} to [0, 1] with the training range instead of standardising",
    "not_standardised": "standardise {columns} with the training mean and deviation",
    "not_min_max": "scale {columns} to [0, 1] with the training range",
    "training_unit": "carry {columns} back to the training unit and scale",
    "affine": "map {columns} onto the training scale",
}
# What stands in evidence["fault"] where it is another word than the phrase's.
FAULTS = {"training_unit": "unit", "factor": "unit"}
TEXTS = {
    "factor": "Convert these columns to the unit that the training data have before they reach the model.",
    "inverted": "Find the step that inverts the values in one split and apply it to both or to none.",
    "unit": "Convert these columns to the unit that the training data have before they reach the model.",
    "unit_of_some_rows": "Find where the rows in the other unit come from, convert them there, and refuse values "
    "outside the training range in production.",
    "transformed": "Apply the same transformation to both splits, best inside the model, where it cannot be forgotten.",
    "training_unit": "Convert these columns to the unit that the training data have before they reach the model.",
}
SAVE_THE_SCALER = (
    "Save the scaler that was fitted on the training data and apply that object, not a new one, to the "
    "validation data and in production; or put a Normalization layer into the model."
)


def words_of(maps: Sequence[NamedMap], considered: int) -> tuple[str, str, str]:
    """Fault, detail and intervention (the rest of "when we ...")."""
    groups: dict[tuple[str, str], list[NamedMap]] = {}
    looks = look_of([one.pair for one in maps if one.name.fault == "affine"], considered)
    for one in maps:
        fault = looks if one.name.fault == "affine" else one.name.fault
        groups.setdefault((fault, one.name.detail), []).append(one)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    phrases = [
        PHRASES[fault].format(columns=listed_columns([one.pair.name for one in ones], considered), detail=detail)
        for (fault, detail), ones in ordered[:MAX_PHRASES]
    ]
    if len(ordered) > MAX_PHRASES:
        phrases.append(f"set {sum(len(ones) for _, ones in ordered[MAX_PHRASES:])} more columns right likewise")
    (fault, detail), _ = ordered[0]
    return FAULTS.get(fault, fault), detail, " and ".join(phrases)


def look_of(pairs: Sequence[UnitPair], considered: int) -> str:
    """A name for estimated maps: what both splits look like."""
    if not pairs:
        return "affine"
    reference_standard = _mostly(pairs, lambda pair: pair.target_is_standard)
    subject_standard = _mostly(pairs, lambda pair: pair.source_is_standard)
    if all(pair.fit.scale < 0 for pair in pairs):
        return "inverted"
    if reference_standard and _mostly(pairs, lambda pair: pair.source_is_unit_interval):
        return "min_max_for_standard"
    if _mostly(pairs, lambda pair: pair.target_is_unit_interval):
        return "standard_for_min_max" if subject_standard else "not_min_max"
    if reference_standard and not subject_standard:
        return "not_standardised" if considered == len(pairs) else "training_unit"
    return "standardised_by_itself" if subject_standard and not reference_standard else "affine"


def _mostly(pairs: Sequence[UnitPair], holds: Callable[[UnitPair], bool]) -> bool:
    return sum(holds(pair) for pair in pairs) >= MOSTLY * len(pairs)


def listed_columns(names: Sequence[str], considered: int) -> str:
    if len(names) == considered and considered > 3:
        return f"all {considered} columns"
    listed = ", ".join(names[:4])
    return listed if len(names) <= 4 else f"{len(names)} columns ({listed}, ...)"


def evidence_of(maps: Sequence[NamedMap]) -> dict[str, JsonValue]:
    """The map of each unit, and how far the splits lie apart before and after it."""
    return {
        one.pair.name: {
            "scale": one.back.scale,
            "offset": one.back.offset,
            "function": one.back.function or None,
            "fault": one.name.fault,
            "detail": one.name.detail or None,
            "estimated_numbers": one.fitted,
            "rows_outside": list(one.back.only_outside) if one.back.only_outside else None,
            "distance_before": one.pair.fit.ks_before,
            "distance_after": one.pair.distance_after(one.back),
        }
        for one in maps[:MAX_LISTED]
    }


def remedy_of(space: FeatureSpace, maps: dict[int, ScaleMap], fault: str, comment: str) -> Remedy:
    """Advice, and code that maps the data of the user's layout.

    Args:
        space: of the features.
        maps: unit -> map back.
        fault: as from `words_of`.
        comment: where the numbers come from.
    """
    shown = dict(list(maps.items())[:MAX_LISTED])
    return Remedy(text=TEXTS.get(fault, SAVE_THE_SCALER), code=_code(space, shown, comment))


def _code(space: FeatureSpace, maps: dict[int, ScaleMap], comment: str) -> str:
    is_table = space.layout == "table"
    plain = all(back.is_affine for back in maps.values())
    keys = {unit: space.units[unit] if is_table else unit for unit in maps}
    numbers = {keys[unit]: _entry(back, plain=plain) for unit, back in maps.items()}
    meaning = "(scale, offset)" if plain else "(function, scale, offset, right already within)"
    head = "import numpy as np\n" + ("import pandas as pd\n" if is_table else "") if not (plain and is_table) else ""
    head = head or "import pandas as pd\n"
    parts = [head + "\n", constant("MAPS", numbers, f"{'column' if is_table else 'unit'}: {meaning}, {comment}")]
    if not plain:
        parts.append(_BACK)
    numbers_of, call = ("(a, b)", "a * {x} + b") if plain else ("how", "back({x}, *how)")
    if is_table:
        each = call.format(x="frame[c]")
        parts.append(
            "def onto_training_scale(frame: pd.DataFrame) -> pd.DataFrame:\n"
            f"    return frame.assign(**{{c: {each} for c, {numbers_of} in MAPS.items()}})\n"
        )
        return "".join(parts)
    at = "x[:, unit]" if space.layout == "vector" else "x[..., unit]" if len(space.units) > 1 else "x"
    parts.append(
        "def onto_training_scale(x: np.ndarray) -> np.ndarray:\n"
        "    x = np.array(x, dtype='float32')\n"
        f"    for unit, {numbers_of} in MAPS.items():\n"
        f"        {at} = {call.format(x=at)}\n"
        "    return x\n"
    )
    return "".join(parts)


_BACK = (
    "def back(x, function, scale, offset, within):\n"
    "    mapped = scale * (getattr(np, function)(x) if function else x) + offset\n"
    "    if within is None:\n"
    "        return mapped\n"
    "    low, high = within\n"
    "    return np.where(((x < low) | (x > high)) & (mapped >= low) & (mapped <= high), mapped, x)\n\n"
)


def _entry(back: ScaleMap, *, plain: bool) -> tuple[object, ...]:
    numbers = float(f"{back.scale:.7g}"), float(f"{back.offset:.7g}")
    if plain:
        return numbers
    within = None if back.only_outside is None else tuple(float(f"{bound:.7g}") for bound in back.only_outside)
    return (back.function, *numbers, within)
