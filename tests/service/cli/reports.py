"""A whole report, as the engine writes one."""

from schemas.report import (
    Affected,
    Cause,
    CheckRecord,
    ClassMetrics,
    Confirmation,
    Estimate,
    Finding,
    Gap,
    Metrics,
    Outcome,
    Remedy,
    Report,
    Severity,
    SplitMetrics,
    TestedRepair,
    Verdict,
)

REMEDY = Remedy(text="Apply the training scaler.", code="scaler = StandardScaler().fit(train)\n")
PROOF = Confirmation(
    confirmed=True,
    intervention="standardise 30 columns",
    metric="balanced_accuracy",
    before=0.5,
    after=0.97,
    gain_interval=(0.44, 0.5),
    placebo_gain=0.01,
    n=200,
)


def finding(code: str, severity: Severity = Severity.CRITICAL, summary: str = "It matters.") -> Finding:
    return Finding(
        code=code,
        family=code.split(".", maxsplit=1)[0],
        severity=severity,
        title=f"Title of {code}",
        summary=summary,
        n=200,
        affected=Affected(columns=["a"]),
        remedy=REMEDY,
    )


def split(n: int, value: float) -> SplitMetrics:
    classes = [
        ClassMetrics(label=label, precision=Estimate(estimate=0.9), recall=Estimate(estimate=None), f1=0.8, support=n)
        for label in ("cat", "dog")
    ]
    estimate = Estimate(estimate=value, interval=(value - 0.05, value + 0.05), n=n)
    return SplitMetrics(n=n, values={"balanced_accuracy": estimate}, per_class=classes)


def whole_report(verdict: Verdict = "fail", summary: str = "The validation data were never standardised.") -> Report:
    cause = Cause(
        code="preprocessing.scaling_mismatch",
        explanation="Thirty columns are scaled otherwise.",
        share_of_gap=Estimate(estimate=0.98, interval=(0.95, 1.0)),
        confirmation=PROOF,
        remedy=REMEDY,
    )
    return Report(
        audit_id="audit-1",
        verdict=verdict,
        summary=summary,
        diagnosis=[cause],
        gap=Gap(metric="balanced_accuracy", validation=0.5, gap=0.48, unexplained=0.01, unexplained_share=0.02),
        findings=[finding(cause.code), finding("metrics.small_validation", Severity.WARNING, "Too few rows.")],
        tested_not_a_cause=[
            TestedRepair(code="preprocessing.outliers", confirmation=PROOF, reason="A placebo did as well.")
        ],
        checks=[
            CheckRecord(code=cause.code, outcome=Outcome.FAIL, seconds=0.1),
            CheckRecord(code="metrics.weak_model", outcome=Outcome.PASS, seconds=0.1),
            CheckRecord(
                code="overfitting.no_signal", outcome=Outcome.INCONCLUSIVE, reason="20 of 50 rows", seconds=0.1
            ),
        ],
        metrics=Metrics(
            primary="balanced_accuracy",
            recommended=["balanced_accuracy"],
            train=split(1000, 0.98),
            validation=split(200, 0.5),
        ),
        model={},
        data={},
        environment={},
    )
