"""Categories that the training data never hold and that mean none of theirs: what do they cost?"""

from collections.abc import Callable
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.repairs.categories.texts import holds_sentences
from audits.repairs.reliance import imitate
from audits.results import CheckResult
from schemas.limits.preprocessing import CategoryMismatch
from schemas.report import Affected, Effect, Finding, Outcome, Remedy, Severity

MAX_LISTED = 20
MAX_ROWS_NAMED = 100
# Fewer rows with unseen categories are an anecdote.
MIN_ROWS = 5
HARDER_LEVEL = 0.05


def unseen_categories(case: Case, code: str, limits: CategoryMismatch) -> CheckResult | None:
    """An observation, or a finding where they cost: on training rows that get them, and on the rows that hold them."""
    unseen = {name: mask for name, mask in _unseen(case).items() if mask.sum() >= MIN_ROWS}
    rows = np.any(list(unseen.values()), axis=0) if unseen else np.zeros(len(case.mended), dtype=bool)
    share = float(rows.mean())
    if share < limits.min_unseen_share:
        return None
    made = imitate(case, _written(case, unseen), "unseen categories")
    loud = made.interval[0] > limits.min_unseen_cost and _are_harder(case, rows)
    values = {name: _values(case.mended, name, mask) for name, mask in unseen.items()}
    listed = "; ".join(f"{', '.join(map(repr, some[:3]))} in {name}" for name, some in list(values.items())[:3])
    finding = Finding(
        code=code,
        family="preprocessing",
        severity=Severity.WARNING if loud else Severity.INFO,
        title="Categories that the training data never hold",
        summary=f"{int(rows.sum())} of {len(rows)} validation rows hold categories that the training data never hold "
        f"({listed}). Written into as many training rows, they take {case.scorer.title} from "
        f"{made.before:.2f} to {made.after:.2f}.",
        effect=Effect(name="share_of_rows_with_unseen_categories", estimate=share, limit=limits.min_unseen_share),
        n=len(rows),
        affected=Affected(
            columns=list(unseen),
            rows=[int(i) for i in case.mended.index[rows][:MAX_ROWS_NAMED]],
            share_of_rows=share,
        ),
        evidence={"unseen": {name: list(some) for name, some in values.items()}},
        remedy=_remedy(list(unseen)),
    )
    if not loud:
        return CheckResult(Outcome.PASS, finding=finding, ranks=False)
    proof = made.confirmation(f"write the unseen categories of {', '.join(unseen)} into as many training rows")
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof, recovered=made.cost)


def _unseen(case: Case) -> dict[str, Array]:
    """Column of categories -> (rows,) whether the training data never hold its value."""
    found: dict[str, Array] = {}
    for name in case.space.texts:
        ours, theirs = (cast("pd.DataFrame", s.rows)[name] for s in (case.train.sample, case.mended))
        if not holds_sentences(ours):
            found[name] = np.asarray(theirs.notna() & ~theirs.isin(set(ours.dropna())), dtype=bool)
    return found


def _written(case: Case, unseen: dict[str, Array]) -> dict[str, Callable[[Array], Array]]:
    """Column -> how to write its unseen categories into as many training rows."""
    n, rng = len(case.train.sample), case.rng("unseen categories")
    changes = {}
    for name, mask in unseen.items():
        hit = rng.random(n) < mask.mean()
        values = cast("pd.DataFrame", case.mended.rows)[name].to_numpy(dtype=object)[mask]
        changes[name] = _placed(hit, rng.choice(values, int(hit.sum())))
    return changes


def _placed(at: Array, values: Array) -> Callable[[Array], Array]:
    def change(column: Array) -> Array:
        column = column.copy()
        column[at] = values
        return column

    return change


def _are_harder(case: Case, rows: Array) -> bool:
    """Whether the model's loss on these validation rows exceeds that on the others."""
    losses = case.scorer.losses(case.mended.labels, case.mended.predictions)
    ours, theirs = (losses[mask & np.isfinite(losses)] for mask in (rows, ~rows))
    if min(len(ours), len(theirs)) < MIN_ROWS:
        return len(ours) >= MIN_ROWS  # where all rows hold unseen categories there are no others
    return bool(ttest_ind(ours, theirs, equal_var=False, alternative="greater").pvalue < HARDER_LEVEL)


def _values(subject: Subject, name: str, mask: Array) -> list[str]:
    values = cast("pd.DataFrame", subject.rows)[name].to_numpy(dtype=object)[mask]
    counts = pd.Series(values).value_counts()
    return [str(value)[:40] for value in counts.index[:MAX_LISTED]]


def _remedy(columns: list[str]) -> Remedy:
    return Remedy(
        text="Find out where these categories come from. If they are other names of known ones, map them; if they are "
        "new, train on rows that hold them, and give rare categories one common name so that the model has learned "
        "what to do with a new one.",
        code="import pandas as pd\n\n"
        f"COLUMNS = {columns!r}\n\n"
        "def rare_as_other(train: pd.DataFrame, frame: pd.DataFrame, least: int = 20) -> pd.DataFrame:\n"
        "    changed = {}\n"
        "    for column in COLUMNS:\n"
        "        counts = train[column].value_counts()\n"
        "        common = counts.index[counts >= least]\n"
        "        changed[column] = frame[column].where(frame[column].isin(common), 'other')\n"
        "    return frame.assign(**changed)\n",
    )
