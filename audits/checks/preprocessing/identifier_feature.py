"""A column names the row, and the model reads it.

What it measures: columns of whole numbers or of single words that hardly repeat: numbers that are unique although
    their range is so narrow that drawn ones would repeat, numbers that count along the file, words of letters and
    digits. What the model makes of them is the fall of the metric when the column is shuffled: it is a cause where it
    falls on the training rows and not on the validation rows.
Why it matters: an identifier says nothing about a new row. A model that uses it has learned the file, not the world.
When it is inconclusive: fewer than `min_rows` training rows.
How to fix: name the column as data.id, or drop it, and train again.
Reference: Breiman, 2001, https://doi.org/10.1023/A:1010933404324; Kaufman, Rosset & Perlich, 2012,
    https://doi.org/10.1145/2382577.2382579
"""

import re
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.repairs.categories.codes import column_values
from audits.repairs.reliance import explained, reliance
from audits.results import CheckResult
from schemas.limits.preprocessing import IdentifierFeature
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.identifier_feature"
# A rank correlation with the row number that no quantity has.
COUNTS_ALONG = 0.999
# ... while it counts: a sorted quantity leaves wider gaps.
MAX_GAP = 100
WORD = re.compile(r"(?=.*\d)[\w\-.:/]{4,}")


def identifier_feature(case: Case) -> CheckResult:
    """Look for identifiers, then ask whether the model uses them."""
    limits = cast(IdentifierFeature, case.limits[CODE])
    if case.space.layout != "table":
        return CheckResult.not_applicable("positions of arrays name no rows")
    rows = len(case.train.sample)
    if rows < limits.min_rows:
        return CheckResult.inconclusive(f"{rows} of {limits.min_rows} training rows")
    found = [name for name in (*case.space.units, *case.space.texts) if _names_rows(case, name, limits)]
    if not found:
        return CheckResult.passed(smallest=limits.min_reliance)
    on_train, on_validation = (
        {name: reliance(case, subject, name) for name in found} for subject in (case.train.sample, case.mended)
    )
    column = max(found, key=lambda name: cast(float, on_train[name].estimate))
    ours, theirs = on_train[column], on_validation[column]
    low = cast("tuple[float, float]", ours.interval)[0]
    used = low > limits.min_reliance
    # what the column gives in training alone is learned by heart; what it gives in both splits is a quantity's
    empty = cast(float, theirs.estimate) < cast(float, ours.estimate) / 2
    loud = used and empty
    before = case.score(case.train.sample)
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.WARNING if loud else Severity.INFO,
        title="The model relies on a row identifier" if loud else "A column names the row",
        summary=f"{column} names rows: its values do not repeat. Shuffled, {case.scorer.title} changes by "
        f"{-cast(float, ours.estimate):+.2f} on the training rows and by {-cast(float, theirs.estimate):+.2f} on the "
        f"validation rows: the model {'relies on it' if used else 'hardly uses it'}.",
        effect=Effect(
            name="fall_of_the_training_metric_without_it",
            estimate=cast(float, ours.estimate),
            interval=ours.interval,
            limit=limits.min_reliance,
        ),
        n=rows,
        affected=Affected(columns=found, share_of_rows=1.0),
        evidence={
            "reliance": {
                name: {"training": on_train[name].estimate, "validation": on_validation[name].estimate}
                for name in found
            }
        },
        remedy=_remedy(found),
    )
    if not loud:
        return CheckResult(Outcome.PASS, finding=finding, ranks=False)
    proof = Confirmation(
        confirmed=True,
        intervention=f"shuffle {column} in the training data",
        metric=case.scorer.metric,
        before=before,
        after=before - cast(float, ours.estimate),
        gain_interval=_turned(ours),
        n=rows,
    )
    recovered = explained(ours, case.train_score[0] - case.mended_score[0])
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof, recovered=recovered)


def _turned(estimate: Estimate) -> tuple[float, float] | None:
    return None if estimate.interval is None else (-estimate.interval[1], -estimate.interval[0])


def _names_rows(case: Case, name: str, limits: IdentifierFeature) -> bool:
    values = column_values(case, case.train.sample.rows, name)
    known = values[~pd.isna(values)]
    if len(known) < limits.min_rows or len(pd.unique(known)) < limits.min_distinct * len(known):
        return False
    if known.dtype == object:
        return all(WORD.fullmatch(str(value)) for value in known)
    if not np.isfinite(known).all() or not (known == np.floor(known)).all():
        return False
    narrow = float(np.ptp(known)) < MAX_GAP * len(known)
    along = narrow and abs(float(spearmanr(case.train.sample.index[~pd.isna(values)], known).statistic)) > COUNTS_ALONG
    return bool(along) or _unique_against_chance(known) < limits.chance_level


def _unique_against_chance(values: Array) -> float:
    """Chance that as many numbers drawn evenly from this range repeat as rarely as these.

    Of n draws from R numbers n (n - 1) / 2R pairs agree, nearly a Poisson number; any other distribution over the
    range repeats more.
    """
    n = len(values)
    pairs = n * (n - 1) / 2 / (float(np.ptp(values)) + 1)
    repeated = n - len(np.unique(values))
    terms = np.cumsum([0.0, *np.log(pairs / np.arange(1, repeated + 1))]) if pairs > 0 else np.zeros(1)
    return float(min(1.0, np.exp(terms - pairs).sum()))


def _remedy(columns: list[str]) -> Remedy:
    return Remedy(
        text="Drop the column and train again; name it as data.id so that reports can name rows by it. If its digits "
        "carry something (a region, a year), extract that into a column of its own.",
        code="import pandas as pd\n\n"
        f"IDENTIFIERS = {columns!r}\n\n"
        "def without_identifiers(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    return frame.drop(columns=IDENTIFIERS)\n",
    )
