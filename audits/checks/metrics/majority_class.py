"""The model gives almost always the same answer.

What it measures: the share of validation rows to which the model answers its favourite class, with a Wilson
    interval, against the share in which that class occurs.
Why it matters: such a model has learned the class shares and nothing else; its accuracy is the prevalence.
When it is inconclusive: fewer than 20 answered rows, or an interval that does not lie above the class's share.
How to fix: weight the classes, or lower the threshold where the ranking is good; look for inputs that do not
    reach the model.
Reference: Wilson, 1927, https://doi.org/10.1080/01621459.1927.10502953
"""

from typing import cast

import numpy as np

from audits.checks.metrics.imbalanced_accuracy import class_weight_remedy
from audits.evidence.case import Case
from audits.evidence.labels import UNKNOWN
from audits.results import CheckResult
from audits.statistics.intervals import wilson
from schemas.limits.metrics import MajorityClass
from schemas.report import Effect, Finding, Outcome, Severity

CODE = "metrics.majority_class"
MIN_ROWS = 20


def majority_class(case: Case) -> CheckResult:
    """Compare the share of the favourite answer with the share of its class."""
    limits = cast(MajorityClass, case.limits[CODE])
    decisions = case.mended.predictions.decisions
    if decisions is None:
        return CheckResult.not_applicable("the task is a regression")
    answered = decisions[decisions >= 0]
    if len(answered) < MIN_ROWS:
        return CheckResult.inconclusive(f"the model answers {len(answered)} rows; {MIN_ROWS} are needed")
    counts = np.bincount(answered, minlength=case.labels.n_classes)
    favourite = int(counts.argmax())
    labels = case.mended.labels[case.mended.labels != UNKNOWN]
    occurs = float((labels == favourite).mean()) if len(labels) else 0.0
    share = float(counts[favourite] / len(answered))
    interval = wilson(int(counts[favourite]), len(answered))
    if share < limits.min_share or share - occurs < limits.min_excess:
        return CheckResult.passed(smallest=interval[1] - interval[0])
    if interval[0] <= occurs + limits.min_excess:
        return CheckResult.inconclusive(f"{share:.0%} of {len(answered)} answers, {occurs:.0%} of the labels")
    name = case.labels.names[favourite]
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=Severity.CRITICAL,
        title="The model gives almost always the same answer",
        summary=f"{share:.1%} of the answers are {name!r}, which is {occurs:.1%} of the labels.",
        effect=Effect(name="share_of_one_answer", estimate=share, interval=interval, limit=limits.min_share),
        n=len(answered),
        evidence={
            "answers": {n: int(c) for n, c in zip(case.labels.names, counts, strict=True)},
            "labels": {n: int((labels == k).sum()) for k, n in enumerate(case.labels.names)},
        },
        remedy=class_weight_remedy(case),
    )
    return CheckResult(Outcome.FAIL, finding=finding)
