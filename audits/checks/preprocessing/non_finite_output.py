"""NaN or infinity comes out of the model.

What it measures: the share of validation rows without a finite answer although none of their values is missing,
    with a Wilson interval; rows with holes are told by preprocessing.missing_values, rows with ids that no embedding
    of the model holds by preprocessing.category_mismatch.
Why it matters: such a row has no answer at all. Metrics that skip it flatter the model, and in production it is an
    error or, worse, a default.
When it is inconclusive: never; an answer is finite or it is not.
How to fix: look for infinities and huge values in the named rows, for logarithms and divisions in the
    preprocessing, and for weights that training left as NaN.
Reference: Goldberg, 1991, https://doi.org/10.1145/103162.103163
"""

import numpy as np

from audits.evidence.case import Case
from audits.evidence.tables import ids_out_of_range
from audits.repairs.imputation import holes
from audits.results import CheckResult
from audits.statistics.intervals import rule_of_three, wilson
from schemas.report import Affected, Effect, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.non_finite_output"
CRITICAL_SHARE = 0.05
MAX_ROWS_NAMED = 100


def non_finite_output(case: Case) -> CheckResult:
    """Count the rows that the model does not answer and whose values are all there."""
    subject = case.mended
    silent = ~subject.predictions.answered & ~np.asarray(holes(case.space, subject.rows).any(axis=1))
    for ids in ids_out_of_range(case.internals, case.space, subject.rows):
        silent &= ~ids.rows
    if not silent.any():
        return CheckResult.passed(smallest=rule_of_three(len(subject)))
    count, share = int(silent.sum()), float(silent.mean())
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if share > CRITICAL_SHARE else Severity.WARNING,
        title="NaN or infinity comes out of the model",
        summary=f"The model gives no finite answer to {count} of {len(subject)} validation rows in which no value is "
        "missing. They count as wrong.",
        effect=Effect(
            name="share_of_rows_without_answer",
            estimate=share,
            interval=wilson(count, len(subject)),
            limit=0.0,
        ),
        n=len(subject),
        affected=Affected(rows=[int(i) for i in subject.index[silent][:MAX_ROWS_NAMED]], share_of_rows=share),
        remedy=Remedy(
            text="Look at the named rows for infinities and huge values; if all are concerned, look at the model's "
            "weights, which training may have left as NaN.",
            code=(
                "import numpy as np\n\n"
                "def broken_weights(model) -> list[str]:\n"
                "    return [w.name for w in model.weights if not np.isfinite(w.numpy()).all()]\n"
            ),
        ),
    )
    return CheckResult(Outcome.FAIL, finding=finding)
