"""The training metric exceeds the validation metric, and no fault of the data explains it.

What it measures: training metric minus validation metric after all proven faults were repaired, a leaking column
    neutralised and copies of training rows left out, with a bootstrap interval of two independent samples; the
    same fall of a control learner that was fitted on the same rows, which is the data's share of it.
Why it matters: the model describes its training rows rather than what they have in common with new ones.
When it is inconclusive: fewer than 30 rows; the interval reaches on both sides of the margin; the splits come
    from different populations, so that a gap says nothing about the model.
How to fix: less capacity, weight decay or dropout, earlier stopping, more or augmented data; compare each on
    rows that no decision was made on.
Reference: Newcombe, 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I;
    Roelofs et al., 2019, https://papers.nips.cc/paper/9117
"""

from typing import cast

from audits.evidence.case import Case
from audits.evidence.gap import MIN_GAP_ROWS, HonestGap, honest_gap
from audits.results import CheckResult
from schemas.limits.overfitting import Gap
from schemas.report import Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "overfitting.generalization_gap"


def generalization_gap(case: Case) -> CheckResult:
    """Compare the honest gap with its margin, then exclude the data."""
    limits = cast(Gap, case.limits[CODE])
    gap = honest_gap(case)
    if min(gap.n, case.train.n) < MIN_GAP_ROWS:
        return CheckResult.inconclusive(f"{min(gap.n, case.train.n)} of {MIN_GAP_ROWS} rows")
    margin = gap.margin(limits)
    if gap.interval[1] < margin or gap.estimate <= margin:
        critical = max(margin, limits.critical_share * (gap.train - gap.chance))
        return CheckResult.passed(smallest=max(margin, gap.interval[1]), margin=critical)
    if gap.interval[0] <= margin:
        return CheckResult.inconclusive(
            f"gap {gap.interval[0]:.3f} to {gap.interval[1]:.3f}, margin {margin:.3f}",
            smallest=gap.interval[1],
        )
    explained = gap.explained_by_data(case)
    if explained is not None:
        return CheckResult.inconclusive(explained)
    finding = Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.CRITICAL if gap.normalised_low >= limits.critical_share else Severity.WARNING,
        title="The model does not generalise",
        summary=f"{case.scorer.title.capitalize()} falls from {gap.train:.2f} on the training rows to "
        f"{gap.validation:.2f} "
        f"on clean validation rows (gap {gap.interval[0]:.2f} to {gap.interval[1]:.2f}), and no fault of the data "
        f"explains it.",
        effect=Effect(name="gap", estimate=gap.estimate, interval=gap.interval, limit=margin),
        n=gap.n,
        evidence={"control_learner": dict(case.control.scores)},
        remedy=_remedy(),
    )
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=by_exclusion(case, gap),
        recovered=Estimate(estimate=gap.estimate, interval=gap.interval, n=gap.n),
    )


def by_exclusion(case: Case, gap: HonestGap) -> Confirmation:
    """What stands in for an intervention where only training anew could repair."""
    return Confirmation(
        confirmed=True,
        intervention="none without training anew: repairs of the data, contamination, leaks and shift were excluded",
        metric=case.scorer.metric,
        before=gap.train,
        after=gap.validation,
        gain_interval=(-gap.interval[1], -gap.interval[0]),
        n=gap.n,
        by_exclusion=True,
    )


def _remedy() -> Remedy:
    return Remedy(
        text="Stop at the best validation epoch, use less capacity, weight decay or dropout, or collect more data; "
        "judge each change on rows that you have not tuned on.",
        code=(
            "import keras\n\n"
            "def callbacks():\n"
            "    return [keras.callbacks.EarlyStopping('val_loss', patience=10, restore_best_weights=True)]\n\n"
            "def dense(units):\n"
            "    return keras.layers.Dense(units, activation='relu', kernel_regularizer=keras.regularizers.L2(1e-4))\n"
        ),
    )
