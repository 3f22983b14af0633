"""A column is constant in one split.

What it measures: columns that hold one value in one split and several, or another one, in the other. A column that
    was constant in training and holds other values in validation moves weights that were never trained: it is set
    back and the model run again. A column that varies in training and is constant in validation was lost on the way;
    nothing brings it back, so that the same constant is written into the training rows to see what the model loses by
    it.
Why it matters: a join that fails fills a column with one default. The model answers on, without what it relied on.
When it is inconclusive: fewer than `min_rows` validation rows.
How to fix: repair the join or the export that lost the column; drop columns that are constant in training.
Reference: Breiman, 2001, https://doi.org/10.1023/A:1010933404324; Breck et al., 2019,
    https://mlsys.org/Conferences/2019/doc/2019/167.pdf
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from audits.evidence.case import Case, Subject
from audits.repairs.categories.codes import column_values
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.reliance import imitate, replaced, set_to
from audits.repairs.snippets import constant, first_of
from audits.results import CheckResult
from schemas.limits.preprocessing import ConstantFeature
from schemas.report import Affected, Effect, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.constant_feature"
MAX_LISTED = 50


def constant_feature(case: Case) -> CheckResult:
    """Judge the trial of setting columns back; columns that the validation data lost are a finding of their own."""
    limits = cast(ConstantFeature, case.limits[CODE])
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels are no columns")
    n = len(case.mended)
    if n < limits.min_rows:
        return CheckResult.inconclusive(f"{n} of {limits.min_rows} validation rows")
    result = judge(
        case,
        CODE,
        title="Columns that were constant in training hold other values in the validation data",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
    )
    return result if result.outcome is Outcome.FAIL else _lost(case, limits) or _idle(case) or result


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Columns that hold one value in the reference and others, or another one, in the subject."""
    limits = cast(ConstantFeature, case.limits[CODE])
    if case.space.layout == "image" or len(subject) < limits.min_rows:
        return None
    ours, theirs = _constants(case, reference), _constants(case, subject)
    found = {
        name: value
        for name, value in ours.items()
        # what is missing altogether is told by missing_values
        if value is not None and (name not in theirs or theirs[name] not in (None, value))
    }
    varied = [name for name in _names(case) if name not in ours]
    if not found:
        return None

    def apply(faulty: Subject) -> Subject:
        return case.rerun(faulty, replaced(case, faulty.rows, {n: set_to(v) for n, v in found.items()}))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        chosen = rng.choice(varied, min(len(found), len(varied)), replace=False)
        middle = {str(n): set_to(_middle(column_values(case, reference.rows, str(n)))) for n in chosen}
        return replace(faulty, rows=replaced(case, faulty.rows, middle))

    touched = np.zeros(len(subject), dtype=bool)
    for name, value in found.items():
        touched |= column_values(case, subject.rows, name) != value
    listed = first_of([f"{name} to {value!r}" for name, value in found.items()])
    return Suspicion(
        code=CODE,
        intervention=f"set {listed}, as in every training row,",
        apply=apply,
        placebo=placebo if varied else None,
        columns=tuple(found)[:MAX_LISTED],
        rows=touched,
        effect=Effect(name="share_of_rows_with_untrained_values", estimate=float(touched.mean()), limit=0.0),
        evidence={"constant_in_training": dict(list(found.items())[:MAX_LISTED])},
        remedy=_remedy(found, "They carry nothing that the model could have learned: drop them and train again."),
    )


def _names(case: Case) -> list[str]:
    return [*case.space.units, *case.space.texts]


def _constants(case: Case, subject: Subject) -> dict[str, Any]:
    """Column -> its only value, None where all are missing."""
    found: dict[str, Any] = {}
    for name in _names(case):
        values = column_values(case, subject.rows, name)
        known = values[~pd.isna(values)]
        if not len(known):
            found[name] = None
        elif len(known) == len(values) and (known == known[0]).all():
            found[name] = known[0] if isinstance(known[0], str) else float(known[0])
    return found


def _middle(values: Any) -> Hashable:
    known = values[~pd.isna(values)]
    return float(np.median(known)) if known.dtype != object else str(pd.Series(known).mode()[0])


def _lost(case: Case, limits: ConstantFeature) -> CheckResult | None:
    """Columns that vary in training and hold one value in the validation data."""
    ours = _constants(case, case.train.sample)
    # a column that knew the answer in training alone is told as that
    told = set(ours) | set(case.leaked)
    lost = {n: v for n, v in _constants(case, case.mended).items() if n not in told and v is not None}
    if not lost:
        return None
    made = imitate(case, {n: set_to(v) for n, v in lost.items()}, "constant columns")
    # a split of one site alone has such a column too, and loses nothing by it
    loud = made.is_material(limits.min_cost) and made.falls_for_certain
    certain = made.interval[0] > limits.critical_gain
    names = first_of(lost)
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.INFO if not loud else Severity.CRITICAL if certain else Severity.WARNING,
        title="Columns that vary in training are constant in the validation data",
        summary=f"{names} {'hold' if len(lost) > 1 else 'holds'} one value in all {len(case.mended)} validation rows. "
        f"With the same value in every training row, {case.scorer.title} falls there from {made.before:.2f} to "
        f"{made.after:.2f}.",
        effect=made.effect(limits.min_cost),
        n=len(case.mended),
        affected=Affected(columns=list(lost)[:MAX_LISTED], share_of_rows=1.0),
        evidence={"value_in_validation": dict(list(lost.items())[:MAX_LISTED])},
        remedy=_remedy(lost, "Repair the join or the export that lost the columns; their values cannot be guessed."),
    )
    if not loud:
        return CheckResult(Outcome.PASS, finding=finding, ranks=False)
    proof = made.confirmation(f"write the constants of {names} into the training rows")
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof, recovered=made.explained())


def _idle(case: Case) -> CheckResult | None:
    """Columns that are constant everywhere: an observation."""
    ours, theirs = _constants(case, case.train.sample), _constants(case, case.mended)
    idle = {name: value for name, value in ours.items() if name in theirs and theirs[name] == value}
    if not idle:
        return None
    names = first_of(idle)
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.INFO,
        title="Columns are constant",
        summary=f"{names} {'hold' if len(idle) > 1 else 'holds'} one value, or none, in both splits: no model can "
        "learn from them.",
        effect=Effect(name="constant_columns", estimate=float(len(idle)), limit=0.0),
        n=len(case.mended),
        affected=Affected(columns=list(idle)[:MAX_LISTED]),
        evidence={"value": dict(list(idle.items())[:MAX_LISTED])},
        remedy=_remedy(idle, "Drop the columns, or look where their values were lost."),
    )
    return CheckResult(Outcome.PASS, finding=finding, ranks=False)


def _remedy(columns: dict[str, Any], text: str) -> Remedy:
    return Remedy(
        text=text,
        code="import pandas as pd\n\n"
        + constant("COLUMNS", list(columns)[:MAX_LISTED])
        + "def require_varied(train: pd.DataFrame, frame: pd.DataFrame) -> None:\n"
        "    for name, part in (('train', train), ('validation', frame)):\n"
        "        lost = [c for c in COLUMNS if part[c].nunique(dropna=False) < 2]\n"
        "        if lost:\n"
        "            raise ValueError(f'constant in {name}: {lost}')\n",
    )
