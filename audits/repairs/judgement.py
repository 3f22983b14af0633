"""From the trials of a repair to the result of its check."""

from typing import cast

from audits.evidence.case import Case
from audits.repairs.protocol import Trial
from audits.results import CheckResult
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
        return CheckResult.inconclusive(too_few) if too_few else CheckResult.passed(smallest=limits.min_gain)
    if not trial.confirmed:
        return CheckResult(
            Outcome.PASS,
            f"suspected and tested, not a cause: {trial.reason}",
            confirmation=trial.confirmation,
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
