"""A number stands for "missing" in the validation data, and the model takes it at its word.

What it measures: values that many validation rows share exactly and that the training data never hold, where
    they lie outside the training range or the column is continuous otherwise; what taking them as missing
    values brings back.
Why it matters: -999 or 9999 is a perfectly good number to a network; it answers with confidence and nonsense.
When it is inconclusive: fewer than `min_rows` validation rows.
How to fix: declare the sentinel as missing where the data are read (`na_values` of pandas), then impute with
    what the training data say.
Reference: Little & Rubin, 2019, https://doi.org/10.1002/9781119482260
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.repairs.imputation import impute
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.snippets import constant, first_of
from audits.results import CheckResult
from schemas.limits.preprocessing import SentinelValues
from schemas.report import Effect, Remedy

CODE = "preprocessing.sentinel_values"
MIN_COUNT = 3
# The training data may hold the value this much more rarely, by chance.
MAX_TRAINING_SHARE = 0.05
# A value that is expected so often and never occurs is gone.
MIN_COUNT_GONE = 10
# A column that is one value is constant, not missing.
MAX_SHARE = 0.9
CONTINUOUS_SHARE = 0.5
# No tail holds so many of the rows at one value.
MANY = 0.05
HALF = 0.5


def sentinel_values(case: Case) -> CheckResult:
    """Judge the trial of setting sentinels to missing."""
    limits = cast(SentinelValues, case.limits[CODE])
    n = len(case.mended)
    return judge(
        case,
        CODE,
        title="A number stands for missing values",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Repeated values that the training data do not know."""
    limits = cast(SentinelValues, case.limits[CODE])
    if len(subject) < limits.min_rows or case.space.layout == "image":
        return None
    found = {
        unit: value
        for unit in case.quantities
        if (value := _sentinel(case.space.values(reference.rows, unit), case.space.values(subject.rows, unit), limits))
        is not None
        and not (subject is case.mended and _is_ours(case, unit, value))
    }
    if not found:
        return None
    touched = np.zeros(len(subject), dtype=bool)
    for unit, value in found.items():
        touched |= case.space.values(subject.rows, unit) == value
    names = tuple(case.space.units[unit] for unit in found)

    def apply(faulty: Subject) -> Subject:
        holed = case.space.map_units(faulty.rows, {unit: _to_missing(value) for unit, value in found.items()})
        return case.rerun(faulty, impute(case.space, reference.rows, holed, "median"))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        changes = {unit: _to_median_at_random(case, reference, unit, value, rng) for unit, value in found.items()}
        return replace(faulty, rows=case.space.map_units(faulty.rows, changes))

    listed = first_of([f"{value:g} in {case.space.units[unit]}" for unit, value in found.items()])
    return Suspicion(
        code=CODE,
        intervention=f"take {listed} as missing and fill in the training median",
        apply=apply,
        placebo=placebo,
        columns=names,
        rows=touched,
        guesses=True,
        effect=Effect(name="share_of_rows_with_sentinels", estimate=float(touched.mean()), limit=limits.min_share),
        evidence={"sentinels": {case.space.units[unit]: value for unit, value in found.items()}},
        remedy=_remedy(case, found),
    )


def _is_ours(case: Case, unit: int, value: float) -> bool:
    """Whether a repair has put most of these values there, such as the quantile at which outliers were cut."""
    submitted, mended = (case.space.values(s.rows, unit) == value for s in (case.validation.sample, case.mended))
    return bool(submitted.sum() < HALF * mended.sum())


def _sentinel(reference: Array, values: Array, limits: SentinelValues) -> float | None:
    """The most repeated value that the training data do not know, if it is frequent and out of place."""
    reference, values = reference[np.isfinite(reference)], values[np.isfinite(values)]
    if not len(reference) or not len(values):
        return None
    candidates, counts = np.unique(values, return_counts=True)
    frequent = np.flatnonzero(counts >= max(MIN_COUNT, limits.min_share * len(values)))
    known = np.array([(reference == value).mean() for value in candidates[frequent]])
    unknown = frequent[known <= MAX_TRAINING_SHARE * counts[frequent] / len(values)]
    for top in unknown[np.argsort(-counts[unknown], kind="stable")]:
        value = float(candidates[top])
        if value == np.median(reference) or counts[top] > MAX_SHARE * len(values):
            continue  # filled by us, or constant
        others = np.delete(counts, frequent)
        # just beyond the end of the range is out of place only where the other values are not
        rest = values[values != value]
        moved = np.mean((rest < reference.min()) | (rest > reference.max())) > MANY if len(rest) else True
        moved = moved or _is_moved(value, reference, values)
        share = 0.0 if moved else float(counts[top] / len(values))
        if _is_outside(value, share, reference, limits) or _towers(counts[top], others, reference):
            return value
    return None


def _is_outside(value: float, share: float, reference: Array, limits: SentinelValues) -> bool:
    """Whether the value lies far outside the training range, or just beyond its end and is too frequent for a tail."""
    low, high = np.quantile(reference, [0.05, 0.95])
    distance = 0.0 if share > MANY else limits.min_distance * max(float(high - low), 1e-12)
    return bool(value < reference.min() - distance or value > reference.max() + distance)


def _is_moved(value: float, reference: Array, values: Array) -> bool:
    """Whether codes were moved by one: at the other end of the range, the last one is gone."""
    other_end = reference.max() if value < reference.min() else reference.min()
    expected = float((reference == other_end).mean()) * len(values)
    return expected >= MIN_COUNT_GONE and not (values == other_end).any()


def _towers(count: int, others: Array, reference: Array) -> bool:
    """Whether one value repeats in a column that is continuous otherwise and never repeats in training."""
    continuous = len(np.unique(reference)) > CONTINUOUS_SHARE * len(reference)
    return bool(continuous and (not len(others) or int(others.max()) < 0.2 * count))


def _to_missing(value: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x == value, np.nan, x)


def _to_median_at_random(
    case: Case, reference: Subject, unit: int, value: float, rng: np.random.Generator
) -> Callable[[Array], Array]:
    """As many other cells of the column, set to the same median."""
    centre = float(np.nanmedian(case.space.values(reference.rows, unit)))

    def change(x: Array) -> Array:
        candidates = np.flatnonzero(x != value)
        chosen = rng.choice(candidates, min(int((x == value).sum()), len(candidates)), replace=False)
        result = x.copy()
        result[chosen] = centre
        return result

    return change


def _remedy(case: Case, found: dict[int, float]) -> Remedy:
    text = "Declare the sentinel as missing where the file is read, then impute with the training data's median."
    if case.space.layout != "table":
        code = (
            "import numpy as np\n\n"
            + constant("SENTINELS", found, "position: the number that stands for missing")
            + "def to_missing(x: np.ndarray) -> np.ndarray:\n"
            "    x = np.array(x, dtype='float32')\n"
            "    for position, sentinel in SENTINELS.items():\n"
            "        x[np.isclose(x[:, position], sentinel), position] = np.nan\n"
            "    return x\n"
        )
        return Remedy(text=text, code=code)
    named = {case.space.units[unit]: value for unit, value in found.items()}
    code = (
        "import numpy as np\nimport pandas as pd\n\n"
        + constant("SENTINELS", named, "column: the number that stands for missing")
        + "def to_missing(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    return frame.assign(**{c: frame[c].where(~np.isclose(frame[c], v)) for c, v in SENTINELS.items()})\n\n"
        "def fill(train: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    return to_missing(frame).fillna(train[list(SENTINELS)].median())\n"
    )
    return Remedy(text=text, code=code)
