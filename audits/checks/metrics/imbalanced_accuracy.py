"""Accuracy is blind to the class that matters, because that class is rare.

What it measures: accuracy minus balanced accuracy on the validation data, with a bootstrap interval, where the
    smallest class is rare. The proof is an experiment: the majority class is answered to everyone in place of the
    model. Where accuracy does not fall by more than `min_lead` for sure, it cannot tell the model from that answer.
Why it matters: with 95 % negatives, answering "no" to everyone is 95 % accurate and finds nobody.
When it is inconclusive: when the interval of the difference reaches the limit.
How to fix: report balanced accuracy or MCC with the recall and precision of every class, rank with average
    precision; weight the classes in training, and choose the threshold for the decision's costs.
Reference: Maier-Hein et al., 2024, https://doi.org/10.1038/s41592-023-02151-z; Chicco & Jurman, 2020,
    https://doi.org/10.1186/s12864-019-6413-7
"""

from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.labels import UNKNOWN
from audits.evidence.reported.forensics import reading_of
from audits.evidence.scoring import mean_over_groups, quantile_interval
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics import metrics
from audits.statistics.intervals import mean_of_paired_differences
from schemas.limits.metrics import ImbalancedAccuracy
from schemas.report import Affected, Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.imbalanced_accuracy"
MIN_ROWS = 20


def imbalanced_accuracy(case: Case) -> CheckResult:
    """Compare accuracy with balanced accuracy."""
    limits = cast(ImbalancedAccuracy, case.limits[CODE])
    if case.is_regression:
        return CheckResult.not_applicable("the task is a regression")
    reported = [reading_of(case, metric) for metric in case.request.reported_metrics]
    if reported and not any(reading.metrics[:1] == ("accuracy",) for reading in reported):
        return CheckResult.not_applicable("accuracy is not among the reported metrics")
    labels, answers = case.mended.labels, case.scorer.answers(case.mended.predictions)
    known = labels != UNKNOWN
    labels, answers = labels[known], answers[known]
    groups = None if case.mended.groups is None else case.mended.groups[known]
    if len(labels) < MIN_ROWS:
        return CheckResult.inconclusive(f"{len(labels)} of {MIN_ROWS} rows with a label")
    shares = np.bincount(labels, minlength=case.labels.n_classes) / len(labels)
    rarest = int(np.where(shares > 0, shares, 2).argmin())
    # in a problem of many classes, rare is what is rare against an equal share
    illusion, interval = _illusion(case, labels, answers, groups)
    if shares[rarest] > limits.max_minority * 2 / case.labels.n_classes:
        return CheckResult.passed(
            smallest=max(limits.min_illusion, interval[1]),
            reason=f"the smallest class holds {shares[rarest]:.0%} of the rows",
        )
    if interval[1] <= limits.min_illusion or illusion <= limits.min_illusion:
        return CheckResult.passed(smallest=limits.min_illusion + (interval[1] - interval[0]) / 2)
    if interval[0] <= limits.min_illusion:
        return CheckResult.inconclusive(
            f"accuracy exceeds balanced accuracy by {interval[0]:.2f} to {interval[1]:.2f}", smallest=interval[1]
        )
    proof = constant_answer(case, labels, answers, groups)
    # nobody has read a metric that is not reported; it is loud where it could not tell the model from a constant
    read = bool(reported) or proof.confirmed
    accuracy = float(metrics.accuracy(labels, answers))
    majority = float(shares.max())
    name = case.labels.names[rarest]
    summary = (
        f"Accuracy is {accuracy:.2f}, but always answering {case.labels.names[int(shares.argmax())]!r} gives "
        f"{majority:.2f}: with {shares[rarest]:.1%} of {name!r}, accuracy cannot see whether they are found. "
        f"Balanced accuracy is {accuracy - illusion:.2f}."
    )
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=Severity.INFO if not read else Severity.CRITICAL if accuracy <= majority + 0.01 else Severity.WARNING,
        title="Accuracy hides how the rare class fares",
        summary=summary,
        effect=Effect(
            name="accuracy_minus_balanced_accuracy",
            estimate=illusion,
            interval=interval,
            limit=limits.min_illusion,
        ),
        n=len(labels),
        affected=Affected(share_of_rows=float(shares[rarest])),
        evidence={
            "accuracy": accuracy,
            "accuracy_of_the_majority_answer": majority,
            "balanced_accuracy": accuracy - illusion,
            "class_shares": {n: float(s) for n, s in zip(case.labels.names, shares, strict=True)},
            "recommended": [
                "balanced_accuracy",
                "mcc",
                "average_precision",
                "recall and precision of every class",
            ],
        },
        remedy=class_weight_remedy(case),
    )
    if not read:
        reason = "observed; accuracy is not reported"
        return CheckResult(Outcome.PASS, reason, finding=finding, ranks=False, smallest_visible_effect=interval[1])
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof)


def constant_answer(case: Case, labels: Array, answers: Array, groups: Array | None = None) -> Confirmation:
    """What becomes of accuracy when everybody is answered the majority class, and of balanced accuracy.

    Confirmed where accuracy does not tell the model from the constant, while balanced accuracy either does or shows
    that the model is as blind as the constant.
    """
    limits = cast(ImbalancedAccuracy, case.limits[CODE])
    majority = int(np.bincount(labels, minlength=case.labels.n_classes).argmax())
    right, constant_right = answers == labels, labels == majority
    gained, lost = int((constant_right & ~right).sum()), int((right & ~constant_right).sum())
    n = len(labels)
    change = (
        mean_of_paired_differences(np.array([gained]), np.array([lost]), np.array([n]))
        if groups is None
        else mean_over_groups(constant_right.astype(float) - right, groups, case.rng("constant answer by groups"))
    )
    blind_to_it = change[1] >= -limits.min_lead
    low, high = case.scorer.interval(labels, answers, case.rng("constant answer"), groups)
    chance, accuracy = case.scorer.chance, float(right.mean())
    told = low > chance + limits.min_lead or high < (chance + accuracy) / 2
    return Confirmation(
        confirmed=bool(blind_to_it and told),
        intervention=f"answer {case.labels.names[majority]!r} to everyone in place of the model: balanced accuracy "
        f"goes from {case.scorer.score_of_answers(labels, answers):.2f} [{low:.2f}, {high:.2f}] to {chance:.2f}",
        metric="accuracy",
        before=accuracy,
        after=float(constant_right.mean()),
        gain_interval=change,
        n=n,
    )


def _illusion(case: Case, labels: Array, answers: Array, groups: Array | None) -> tuple[float, tuple[float, float]]:
    """Accuracy minus balanced accuracy, with its bootstrap interval."""

    def difference(weights: Array | None, y: Array, a: Array) -> Array:
        return np.asarray(metrics.accuracy(y, a, weights)) - case.scorer.score_answers(y, a, weights)

    draws = case.scorer.resample((labels, answers), difference, case.rng("illusion"), groups)
    return float(difference(None, labels, answers)), quantile_interval(draws)


def class_weights(case: Case) -> dict[int, float]:
    """Balanced class weights of the training labels: n / (classes * count), as scikit-learn computes them."""
    labels = case.train.labels[case.train.labels != UNKNOWN]
    counts = np.bincount(labels, minlength=case.labels.n_classes)
    present = int((counts > 0).sum())
    return {k: round(len(labels) / (present * int(c)), 4) for k, c in enumerate(counts) if c}


def class_weight_remedy(case: Case) -> Remedy:
    weights = class_weights(case)
    text = (
        "Report balanced accuracy, MCC and the recall and precision of every class. Train again with class weights, "
        "on shuffled rows, and choose the threshold on the training predictions for the costs of the decision."
    )
    code = (
        "import numpy as np\n\n"
        + constant("CLASS_WEIGHT", weights, "n / (classes * count) of the training labels")
        + "def fit(model, x, y, **options):\n"
        "    order = np.random.default_rng(0).permutation(len(y))\n"
        "    return model.fit(x[order], y[order], class_weight=CLASS_WEIGHT, **options)\n"
    )
    return Remedy(text=text, code=code)
