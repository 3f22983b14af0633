"""From the trials of a repair to the result of its check."""

from typing import cast

import numpy as np

from audits.evidence.case import Case
from audits.evidence.labels import UNKNOWN
from audits.repairs.protocol import Trial
from audits.results import CheckResult
from audits.statistics.power import detectable_gain
from schemas.limits.base import Repairable
from schemas.report import Affected, Finding, Outcome, Severity

MAX_ROWS_NAMED = 100


def trial_of(case: Case, code: str) -> Trial | None:
    """The trial of this code: the confirmed one, else the last."""
    trials = [trial for trial in case.trials if trial.suspicion.code == code]
    return next((trial for trial in trials if trial.confirmed), trials[-1] if trials else None)


def judge(case: Case, code: str, *, title: str, summary: str, too_few: str | None = None) -> CheckResult:
    """The result of a check whose finding is proven by repair.

    Args:
        case: with its trials.
        code: of the check.
        title: of the finding.
        summary: what was found; `{intervention}`, `{before}`, `{after}` and `{metric}` are filled in.
        too_few: why the detector could not look, or None.
    """
    limits = cast(Repairable, case.limits[code])
    trial = trial_of(case, code)
    if trial is None:
        return CheckResult.inconclusive(too_few) if too_few else silent(case, limits)
    if not trial.confirmed:
        return CheckResult(
            Outcome.PASS,
            f"suspected and tested, not a cause: {trial.reason}",
            confirmation=trial.confirmation,
            smallest_visible_effect=smallest_visible_gain(case, limits),
        )
    gain = cast(float, trial.gain.estimate)
    finding = Finding(
        code=code,
        family="preprocessing",
        severity=Severity.CRITICAL if gain >= limits.critical_gain else Severity.WARNING,
        title=title,
        summary=explain(trial, case, summary),
        effect=trial.suspicion.effect,
        p_value=trial.suspicion.p_value,
        q_value=trial.suspicion.q_value,
        n=len(case.mended),
        affected=affected(case, trial),
        evidence=dict(trial.suspicion.evidence),
        remedy=trial.suspicion.remedy,
    )
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=trial.confirmation, recovered=trial.gain)


def silent(case: Case, limits: Repairable) -> CheckResult:
    """Nothing was suspected: passed, unless a repair of critical gain could have stayed unconfirmed in these rows."""
    return CheckResult.passed(smallest=smallest_visible_gain(case, limits), margin=limits.critical_gain)


def smallest_visible_gain(case: Case, limits: Repairable) -> float | None:
    """The smallest gain of the primary metric that a repair would show, for a fault that spoils rows at random.

    A spoilt row is answered wrongly, or in a regression with the training mean; its repair answers as the model does
    now. None for a model of a regression that is no better than the mean: nothing can be lost.
    """
    subject = case.mended
    if case.is_regression:
        answers = case.scorer.answers(subject.predictions)
        gains = np.square(subject.labels - case.scorer.fallback) - np.square(subject.labels - answers)
        spread = float(np.var(subject.labels))
        if not (gains.mean() > 0 and spread > 0):
            return None
        visible = detectable_gain(float(gains.mean()), float(np.square(gains).mean()), len(gains)) / spread
    else:
        counts = np.bincount(subject.labels[subject.labels != UNKNOWN], minlength=1)
        rows = counts[counts > 0]
        if not len(rows):
            return None
        visible = detectable_gain(1.0, 1.0, len(rows) ** 2 / float(np.sum(1 / rows)))
    return max(limits.min_gain, float(visible))


def explain(trial: Trial, case: Case, summary: str) -> str:
    proof = trial.confirmation
    return summary.format(
        intervention=proof.intervention,
        before=f"{proof.before:.2f}",
        after=f"{proof.after:.2f}",
        metric=case.scorer.title,
    )


def affected(case: Case, trial: Trial) -> Affected:
    rows = trial.suspicion.rows
    if rows is None:
        return Affected(columns=list(trial.suspicion.columns), share_of_rows=1.0)
    numbers = case.mended.index[rows][:MAX_ROWS_NAMED]
    return Affected(
        columns=list(trial.suspicion.columns),
        rows=[int(number) for number in numbers],
        share_of_rows=float(rows.mean()),
    )
