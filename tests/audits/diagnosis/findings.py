"""Findings made by hand."""

from typing import Any

from audits.results import CheckResult
from schemas.report import Confirmation, Estimate, Finding, Outcome, Remedy, Severity

SCALE = "preprocessing.scaling_mismatch"
LABELS = "preprocessing.label_encoding"
MEMORY = "overfitting.memorization"
GAP = "overfitting.generalization_gap"


def found(
    code: str,
    *,
    severity: Severity = Severity.CRITICAL,
    recovered: float | None = None,
    by_exclusion: bool = False,
    **other: Any,
) -> CheckResult:
    finding = Finding(
        code=code,
        family=code.partition(".")[0],  # type: ignore[arg-type]
        severity=severity,
        title=code,
        summary=f"summary of {code}.",
        n=100,
        remedy=Remedy(text=f"remedy of {code}"),
    )
    gain = (
        None if recovered is None else Estimate(estimate=recovered, interval=(recovered - 0.1, recovered + 0.1), n=100)
    )
    proof = Confirmation(
        confirmed=True, intervention="x", metric="balanced_accuracy", before=0.5, after=0.9, by_exclusion=by_exclusion
    )
    return CheckResult(
        **{"outcome": Outcome.FAIL, "finding": finding, "confirmation": proof, "recovered": gain} | other
    )
