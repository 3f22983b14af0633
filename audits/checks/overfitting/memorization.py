"""The model recites its training labels.

What it measures: three things together: a training metric near its maximum, a material honest gap, and
    membership: the AUC with which a row's loss tells training rows from validation rows of the same class.
Why it matters: a network with more weights than rows can learn any labels by heart, random ones too; its
    training loss then says nothing.
When it is inconclusive: the gap's interval reaches the margin; fewer than 30 rows of a split.
How to fix: fewer parameters, weight decay, dropout and early stopping; above all more rows. Look at the control
    learner first: where it finds no signal either, none of these will help.
Reference: Yeom et al., 2018, https://arxiv.org/abs/1709.01604; Zhang et al., 2017,
    https://arxiv.org/abs/1611.03530; DeLong et al., 1988, https://doi.org/10.2307/2531595
"""

from typing import cast

import numpy as np

from audits.checks.overfitting.generalization_gap import by_exclusion
from audits.evidence.case import Case
from audits.evidence.gap import MIN_GAP_ROWS, HonestGap, honest_gap, honest_train, honest_validation
from audits.results import CheckResult
from audits.statistics import metrics
from audits.statistics.intervals import auc_interval
from schemas.limits.overfitting import Memorization
from schemas.report import Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "overfitting.memorization"


def memorization(case: Case) -> CheckResult:
    """Near-perfect at home, materially worse elsewhere, and the loss knows who was at home."""
    limits = cast(Memorization, case.limits[CODE])
    gap = honest_gap(case)
    if min(gap.n, case.train.n) < MIN_GAP_ROWS:
        return CheckResult.inconclusive(f"{min(gap.n, case.train.n)} of {MIN_GAP_ROWS} rows")
    margin = gap.margin(limits)
    membership, interval = _membership(case)
    near_perfect = gap.train >= limits.near_perfect
    strong = interval[0] > limits.strong_membership and gap.train >= limits.near_perfect - 0.05
    if not (strong or (near_perfect and interval[0] > limits.min_membership)):
        return CheckResult.passed(
            smallest=limits.min_membership + (interval[1] - interval[0]) / 2, margin=limits.strong_membership
        )
    if gap.interval[0] <= margin:
        if gap.interval[1] < margin:
            return CheckResult.passed(smallest=margin)
        return CheckResult.inconclusive(f"gap {gap.interval[0]:.3f} to {gap.interval[1]:.3f}, margin {margin:.3f}")
    explained = gap.explained_by_data(case)
    if explained is not None:
        return CheckResult.inconclusive(explained)
    return CheckResult(
        Outcome.FAIL,
        finding=_finding(case, gap, membership, interval, limits),
        confirmation=by_exclusion(case, gap),
        recovered=Estimate(estimate=gap.estimate, interval=gap.interval, n=gap.n),
    )


def _finding(
    case: Case, gap: HonestGap, membership: float, interval: tuple[float, float], limits: Memorization
) -> Finding:
    parameters = case.description.parameters
    size = f", with {parameters:,} parameters for {case.train.n:,} rows" if parameters else ""
    return Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.CRITICAL if gap.normalised_low >= limits.critical_share else Severity.WARNING,
        title="The model recites its training labels",
        summary=f"{case.scorer.title.capitalize()} is {gap.train:.2f} on the training rows and {gap.validation:.2f} on "
        f"validation rows{size}; the loss alone tells training rows from others (AUC {membership:.2f}).",
        effect=Effect(name="membership_auc", estimate=membership, interval=interval, limit=limits.min_membership),
        n=gap.n,
        evidence={
            "gap": {"estimate": gap.estimate, "interval": list(gap.interval)},
            "parameters": parameters,
            "training_rows": case.train.n,
            "control_learner": dict(case.control.scores),
        },
        remedy=Remedy(
            text="Use far fewer parameters, weight decay and dropout, and stop at the best validation epoch; more rows "
            "help most. If no learner finds a signal (overfitting.no_signal), none of this will.",
            code=(
                "import keras\n\n"
                "def smaller_network(inputs: int, outputs: int):\n"
                "    return keras.Sequential([\n"
                "        keras.layers.Input((inputs,)),\n"
                "        keras.layers.Dense(16, activation='relu', kernel_regularizer=keras.regularizers.L2(1e-3)),\n"
                "        keras.layers.Dropout(0.3),\n"
                "        keras.layers.Dense(outputs),\n"
                "    ])\n\n"
                "def callbacks():\n"
                "    return [keras.callbacks.EarlyStopping('val_loss', patience=10, restore_best_weights=True)]\n"
            ),
        ),
    )


def _membership(case: Case) -> tuple[float, tuple[float, float]]:
    """AUC of the loss between validation and training rows; losses are ranked within their class."""
    train, validation = honest_train(case), honest_validation(case)
    losses = [case.scorer.losses(s.labels, s.predictions) for s in (train, validation)]
    labels = [np.zeros(len(s)) if case.is_regression else s.labels for s in (train, validation)]
    scores, members = [], []
    for k in np.unique(np.concatenate(labels)):
        ours, theirs = (loss[(label == k) & np.isfinite(loss)] for loss, label in zip(losses, labels, strict=True))
        if not len(ours) or not len(theirs):
            continue
        # a class's own scale: without it, the classes' difficulty would pass for membership
        both = np.concatenate([ours, theirs])
        ranks = np.searchsorted(np.sort(both), both, side="left") + np.searchsorted(np.sort(both), both, side="right")
        scores.append(ranks / (2 * len(both)))
        members.append(np.repeat([False, True], [len(ours), len(theirs)]))
    if not scores:
        return 0.5, (0.0, 1.0)
    pooled, member = np.concatenate(scores), np.concatenate(members)
    return float(metrics.roc_auc(pooled, member)), auc_interval(pooled, member)
