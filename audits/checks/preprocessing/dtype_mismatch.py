"""A column is of another type, precision or width in one split.

What it measures: texts of numbers in another dress ("1,5", "1,234", "12 kg", "true"), and fractions in a column that
    was whole in training, which are cast and the model run again. Values that were rounded, and texts that were cut at
    one length, in the validation data alone: what was lost is not to be had back, so that the training rows are
    rounded or cut likewise to see what the model loses by it. Whole numbers too large for the model's input type are
    an observation.
Why it matters: a reader that guesses types guesses for each file anew. The values look right and mean less.
When it is inconclusive: fewer than `min_rows` validation rows. Text where the model takes numbers is refused before.
How to fix: read both files with one schema that names the type of every column.
Reference: Breck et al., 2019, https://doi.org/10.5281/zenodo.3239559; Goldberg, 1991,
    https://doi.org/10.1145/103162.103163
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.repairs.categories.codes import remapped
from audits.repairs.categories.spelling import as_cast
from audits.repairs.categories.texts import at_random, holds_sentences
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.reliance import imitate, replaced
from audits.repairs.snippets import constant, first_of
from audits.results import CheckResult
from audits.statistics.distributions import ks_2samp_statistic, ks_pvalue, two_proportion_test
from audits.statistics.multiplicity import benjamini_hochberg
from schemas.limits.preprocessing import DtypeMismatch
from schemas.report import Affected, Effect, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.dtype_mismatch"
MAX_LISTED = 50
DECIMALS = (0, 1, 2)
ROUNDING = 1e-4
# Values beyond have no digits left that a float32 could tell to be rounded.
MAX_UNITS_OF_THE_LAST_PLACE = 1e5
MIN_FRACTIONS = 0.01
EXPLAINED = 0.01
MIN_COLLAPSED = 0.01
Change = Callable[[Array], Array]


def dtype_mismatch(case: Case) -> CheckResult:
    """Judge the trial of casting; what was lost for good, and what does not fit, are findings of their own."""
    limits = cast(DtypeMismatch, case.limits[CODE])
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels are no columns")
    n = len(case.mended)
    result = judge(
        case,
        CODE,
        title="Columns are of another type in the validation data",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )
    if result.outcome is Outcome.FAIL or n < limits.min_rows:
        return result
    return _lost(case, limits) or _collapsed(case) or result


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Numbers as texts of another form, and fractions among whole numbers."""
    limits = cast(DtypeMismatch, case.limits[CODE])
    if case.space.layout == "image" or len(subject) < limits.min_rows:
        return None
    casts, fractions = _casts(case, reference, subject), _fractions(case, reference, subject)
    if not casts and not fractions:
        return None

    def apply(faulty: Subject) -> Subject:
        rows = remapped(case, faulty.rows, casts)
        return case.rerun(faulty, replaced(case, rows, dict.fromkeys(fractions, np.round)))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        rows = at_random(reference, faulty.rows, casts, rng)
        return replace(faulty, rows=replaced(case, rows, dict.fromkeys(fractions, _up_or_down(rng))))

    touched = np.zeros(len(subject), dtype=bool)
    for name, mapping in casts.items():
        touched |= cast("pd.DataFrame", subject.rows)[name].isin(list(mapping)).to_numpy()
    for name in fractions:
        touched |= _is_fraction(case.space.values(subject.rows, case.space.units.index(name)))
    names = (*casts, *fractions)
    parts = [f"read {old!r} as {new!r} in {name}" for name, m in casts.items() for old, new in list(m.items())[:1]]
    parts += [f"round {', '.join(fractions[:3])} to the whole numbers that they are in training"] if fractions else []
    return Suspicion(
        code=CODE,
        intervention=" and ".join(parts[:3]),
        apply=apply,
        placebo=placebo,
        columns=names[:MAX_LISTED],
        rows=touched,
        effect=Effect(name="share_of_rows_of_another_type", estimate=float(touched.mean()), limit=0.0),
        evidence={"cast": {n: {str(a): b for a, b in list(m.items())[:20]} for n, m in casts.items()}},
        remedy=_cast_remedy(case, casts, fractions),
    )


def _casts(case: Case, reference: Subject, subject: Subject) -> dict[str, dict[Hashable, Any]]:
    """Column of texts -> unseen value -> the same number as the training writes it."""
    found: dict[str, dict[Hashable, Any]] = {}
    for name in case.space.texts:
        ours, theirs = (cast("pd.DataFrame", s.rows)[name].dropna() for s in (reference, subject))
        known = set(ours)
        mapping = as_cast(sorted(known), [value for value in theirs.unique() if value not in known])
        if mapping:
            found[name] = cast("dict[Hashable, Any]", mapping)
    return found


def _fractions(case: Case, reference: Subject, subject: Subject) -> list[str]:
    """Units that are whole in the reference and not in the subject."""
    found = []
    for unit, name in enumerate(case.space.units):
        ours, theirs = (case.space.values(s.rows, unit) for s in (reference, subject))
        if np.isfinite(ours).any() and not _is_fraction(ours).any() and _is_fraction(theirs).mean() > MIN_FRACTIONS:
            found.append(name)
    return found


def _up_or_down(rng: np.random.Generator) -> Change:
    return lambda values: np.floor(values) + _is_fraction(values) * rng.integers(0, 2, len(values))


def _is_fraction(values: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(values) & (values != np.round(values)))


def _lost(case: Case, limits: DtypeMismatch) -> CheckResult | None:
    """Values that were rounded or cut in the validation data alone."""
    rounded, cut = _rounded(case, limits), _cut(case, limits)
    if not rounded and not cut:
        return None
    changes: dict[str, Change] = {n: _round_to(d) for n, d in rounded.items()} | {n: _cut_at(k) for n, k in cut.items()}
    made = imitate(case, changes, "rounded columns")
    loud = made.is_material(limits.min_cost) and made.falls_for_certain
    certain = made.interval[0] > limits.critical_gain
    said = [
        f"{name} is rounded to {d} decimals" if d else f"{name} is rounded to whole numbers"
        for name, d in rounded.items()
    ]
    said += [f"{name} is cut at {length} characters" for name, length in cut.items()]
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.INFO if not loud else Severity.CRITICAL if certain else Severity.WARNING,
        title="Columns are less precise in the validation data",
        summary=f"{first_of(said)} in the validation data, and not in training. "
        f"Done to the training rows, {case.scorer.title} goes there from {made.before:.2f} to {made.after:.2f}.",
        effect=made.effect(limits.min_cost),
        n=len(case.mended),
        affected=Affected(columns=list(changes)[:MAX_LISTED], share_of_rows=1.0),
        evidence={"decimals": dict(rounded), "characters": dict(cut)},
        remedy=_schema_remedy(list(changes)),
    )
    if not loud:
        return CheckResult(Outcome.PASS, finding=finding, ranks=False)
    proof = made.confirmation(f"round or cut {', '.join(list(changes)[:3])} in the training rows likewise")
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof, recovered=made.explained())


def _rounded(case: Case, limits: DtypeMismatch) -> dict[str, int]:
    """Unit -> the decimals to which the validation values alone are rounded, where rounding explains them."""
    found: dict[str, int] = {}
    p_values: dict[str, float] = {}
    for unit, name in enumerate(case.space.units):
        ours, theirs = (case.space.values(s.rows, unit) for s in (case.train.sample, case.mended))
        ours, theirs = ours[np.isfinite(ours)], theirs[np.isfinite(theirs)]
        if len(theirs) < limits.min_rows or not len(ours) or np.ptp(theirs) == 0:
            continue
        decimals = next((d for d in DECIMALS if _has_decimals(theirs, d).all()), None)
        if decimals is None or _has_decimals(ours, decimals).mean() > limits.max_whole_share:
            continue
        distance = ks_2samp_statistic(np.round(ours, decimals), theirs)
        if ks_pvalue(distance, len(ours), len(theirs)) > EXPLAINED:
            found[name] = decimals
            p_values[name] = two_proportion_test(
                len(theirs), len(theirs), int(_has_decimals(ours, decimals).sum()), len(ours)
            ).p_value
    if not found:
        return {}
    q_values = benjamini_hochberg(np.array([p_values[name] for name in found]))
    return {name: decimals for (name, decimals), q in zip(found.items(), q_values, strict=True) if q < limits.fdr}


def _has_decimals(values: Array, decimals: int) -> Array:
    """(values,) whether each has no more digits than so many behind the point."""
    scaled = values * 10.0**decimals
    return np.asarray((np.abs(scaled - np.round(scaled)) < ROUNDING) & (np.abs(scaled) < MAX_UNITS_OF_THE_LAST_PLACE))


def _cut(case: Case, limits: DtypeMismatch) -> dict[str, int]:
    """Column of texts -> the greatest length in the validation data, where many end there and training goes beyond."""
    found: dict[str, int] = {}
    for name in case.space.texts:
        ours, theirs = (
            cast("pd.DataFrame", s.rows)[name].dropna().str.len().to_numpy(dtype=int)
            for s in (case.train.sample, case.mended)
        )
        if len(theirs) < limits.min_rows or not len(ours):
            continue
        longest = int(theirs.max())
        at_the_end, beyond = theirs == longest, ours >= longest
        same = two_proportion_test(int(at_the_end.sum()), len(theirs), int((ours == longest).sum()), len(ours))
        sentences = holds_sentences(cast("pd.DataFrame", case.train.sample.rows)[name])
        many = at_the_end.mean() > limits.min_cut_share and (ours > longest).mean() > limits.min_cut_share
        if (
            sentences
            and many
            and beyond.mean() > at_the_end.mean() / 3
            and same.statistic > 0
            and same.p_value < limits.fdr
        ):
            found[name] = longest
    return found


def _round_to(decimals: int) -> Change:
    return lambda values: np.round(values, decimals)


def _cut_at(length: int) -> Change:
    def change(values: Array) -> Array:
        result = np.empty(len(values), dtype=object)
        result[:] = [None if value is None else value[:length] for value in values]
        return result

    return change


def _collapsed(case: Case) -> CheckResult | None:
    """Whole numbers that the model's input type cannot tell apart: an observation."""
    if case.space.layout != "table" or not any(spec.dtype == "float32" for spec in case.description.inputs):
        return None
    shares: dict[str, float] = {}
    for unit, name in enumerate(case.space.units):
        values = case.space.values(case.train.sample.rows, unit)
        values = values[np.isfinite(values)]
        if len(values) and np.abs(values).max() > 2**24 and not _is_fraction(values).any():
            distinct = len(np.unique(values))
            with np.errstate(over="ignore"):
                shares[name] = 1 - len(np.unique(values.astype(np.float32))) / distinct
    shares = {name: share for name, share in shares.items() if share > MIN_COLLAPSED}
    if not shares:
        return None
    worst = max(shares, key=lambda name: shares[name])
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.INFO,
        title="Whole numbers are too large for the model's input type",
        summary=f"{shares[worst]:.0%} of the different values of {worst} become one with another as float32, which "
        "holds whole numbers exactly up to 16,777,216.",
        effect=Effect(name="share_of_values_lost", estimate=shares[worst], limit=MIN_COLLAPSED),
        n=len(case.train.sample),
        affected=Affected(columns=list(shares)[:MAX_LISTED]),
        evidence={"share_lost": dict(shares)},
        remedy=_schema_remedy(list(shares)),
    )
    return CheckResult(Outcome.PASS, finding=finding, ranks=False)


def _cast_remedy(case: Case, casts: dict[str, dict[Hashable, Any]], fractions: list[str]) -> Remedy:
    text = "Read both files with one schema that names the type, the decimal sign and the unit of every column."
    if case.space.layout != "table":
        positions = [case.space.units.index(name) for name in fractions]
        return Remedy(
            text=text,
            code="import numpy as np\n\n" + constant("WHOLE", positions) + "def cast(x: np.ndarray) -> np.ndarray:\n"
            "    result = np.array(x, copy=True)\n"
            "    result[:, WHOLE] = np.round(result[:, WHOLE])\n"
            "    return result\n",
        )
    return Remedy(
        text=text,
        code="import pandas as pd\n\n"
        + constant("READ_AS", casts, "column: the training's form of each value")
        + constant("WHOLE", fractions)
        + "def cast(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    read = {c: frame[c].map(lambda v, m=m: m.get(v, v)) for c, m in READ_AS.items()}\n"
        "    return frame.assign(**read, **{c: frame[c].round() for c in WHOLE})\n",
    )


def _schema_remedy(columns: list[str]) -> Remedy:
    return Remedy(
        text="Export the column again in the type, precision and width that it has in training; what was cut off "
        "cannot be computed. The code below shows a split's types before it reaches the model.",
        code="import pandas as pd\n\n"
        + constant("COLUMNS", columns[:MAX_LISTED])
        + "def types_of(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    longest = frame[COLUMNS].astype(str).apply(lambda c: c.str.len().max())\n"
        "    return pd.DataFrame({'type': frame[COLUMNS].dtypes.astype(str), 'longest': longest})\n",
    )
