"""The output cannot express the target.

What it measures: whether the answers vary at all (a softmax over one unit is always 1); the greatest R2 that any
    weights could reach within the range of the last activation, on the targets of both splits; whether answers are
    labels that were standardised, divided or put on a logarithm and never brought back; whether probabilities went
    through their activation a second time; and whether logits are read as probabilities.
Why it matters: training cannot mend it. The loss may fall, but the answer that is needed is out of reach, or is
    given in another unit than it is read in.
When it is inconclusive: fewer than `min_rows` rows in a split.
How to fix: end the model in the activation that fits the target (a sigmoid for one unit, a softmax for one unit per
    class, none for a quantity), apply it once, and invert the scaling of the labels when predicting.
Reference: Goodfellow, Bengio & Courville, 2016, section 6.2.2, https://www.deeplearningbook.org
"""

from collections.abc import Callable
from typing import cast

import numpy as np

from audits.checks.metrics._output import CODE, Mismatch, activation_remedy, answered, given_by, op_of, width_of
from audits.checks.metrics._output_of_classes import (
    activated_twice,
    misread_logits,
    not_exclusive,
    on_the_scale_of_labels,
)
from audits.checks.metrics._output_of_quantities import another_unit, out_of_reach
from audits.evidence.case import Case
from audits.results import CheckResult
from audits.statistics import activations
from schemas.limits.metrics import OutputMismatch
from schemas.report import Confirmation, Effect, Finding, Outcome, Severity

# Answers that differ by less are the same number, in the unit of float32.
CONSTANT = 1e-6


def output_mismatch(case: Case) -> CheckResult:
    """Ask what the output can say, the plainest fault first."""
    limits = cast(OutputMismatch, case.limits[CODE])
    n = min(len(s) for s in answered(case))
    if n < limits.min_rows:
        return CheckResult.inconclusive(f"{n} of {limits.min_rows} answered rows in a split")
    questions: tuple[Callable[[Case], Mismatch | None], ...] = (
        (_constant, another_unit, out_of_reach)
        if case.is_regression
        else (_constant, on_the_scale_of_labels)
        if case.meaning.form != "plain"
        else (_constant, activated_twice, misread_logits, not_exclusive)
    )
    for question in questions:
        mismatch = question(case)
        if mismatch is not None:
            return _result(case, mismatch)
    return CheckResult.passed(smallest=limits.min_loss, margin=limits.min_loss)


def _result(case: Case, mismatch: Mismatch) -> CheckResult:
    loud = mismatch.severity is not Severity.INFO
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=mismatch.severity,
        title=mismatch.title,
        summary=mismatch.summary,
        effect=mismatch.effect,
        n=len(case.mended),
        evidence={"op": op_of(case), "read_as": case.meaning.kind} | mismatch.evidence,
        remedy=mismatch.remedy,
    )
    return CheckResult(
        Outcome.FAIL if loud else Outcome.PASS,
        finding=finding,
        confirmation=mismatch.confirmation,
        recovered=mismatch.recovered,
        ranks=loud,
    )


def _constant(case: Case) -> Mismatch | None:
    """One answer for all rows, at an end of what the activation can say."""
    answers = np.concatenate([given_by(subject) for subject in answered(case)])
    if np.ptp(answers, axis=0).max() > CONSTANT * max(1.0, float(np.abs(answers).max())):
        return None
    one_unit = op_of(case) == "Softmax" and width_of(case) == 1
    value = float(answers[0, -1])
    reach = activations.range_of(op_of(case), width_of(case)) or (
        (0.0, 1.0) if not case.is_regression and case.meaning.kind != "class" else (np.nan, np.nan)
    )
    if not (one_unit or np.isclose(value, reach, atol=CONSTANT).any()):
        return None
    why = (
        "The model ends in a softmax over one unit, which is 1 whatever the network computes"
        if one_unit
        else "The last activation is stuck at its end: no input moves it, and no gradient passes"
    )
    score = case.score(case.mended)
    return Mismatch(
        title="The output is the same for every row",
        summary=f"{why}: all {len(answers)} answers are {value:g}. Validation {case.scorer.title} is {score:.2f}, as "
        "without any model.",
        effect=Effect(name="spread_of_the_answers", estimate=float(answers[:, -1].std()), limit=CONSTANT),
        evidence={"answer": value, "softmax_over_one_unit": one_unit},
        remedy=activation_remedy(case, "Train again with an output layer that can say something else"),
        confirmation=Confirmation(
            confirmed=True,
            intervention="compare the answers to all rows of both splits: they are one number",
            metric=case.scorer.metric,
            before=score,
            after=score,
            n=len(case.mended),
            by_exclusion=True,
        ),
    )
