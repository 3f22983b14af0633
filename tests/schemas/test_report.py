"""The report: the fixed names of the API, finite numbers, and the way through JSON."""

import json
import math

import pytest
from pydantic import ValidationError

from schemas.report import (
    Cause,
    CheckRecord,
    Confirmation,
    Effect,
    Estimate,
    Finding,
    Gap,
    Metrics,
    Outcome,
    Remedy,
    Report,
    Severity,
    SplitMetrics,
)


def report() -> Report:
    remedy = Remedy(text="Scale.", code="x = 1")
    confirmation = Confirmation(
        confirmed=True,
        intervention="standardise",
        metric="balanced_accuracy",
        before=0.5,
        after=0.97,
        gain_interval=(0.44, 0.5),
        placebo_gain=0.01,
    )
    finding = Finding(
        code="preprocessing.scaling_mismatch",
        family="preprocessing",
        severity=Severity.CRITICAL,
        title="Scaled otherwise",
        summary="…",
        effect=Effect(name="ks", estimate=0.9, interval=(0.8, 1.0), limit=0.1),
        n=10,
        evidence={"maps": {"age": [1.0, 2.0]}, "none": None},
        remedy=remedy,
    )
    return Report(
        audit_id="a",
        verdict="fail",
        summary="…",
        diagnosis=[
            Cause(
                code=finding.code,
                explanation="…",
                share_of_gap=Estimate(estimate=0.98, interval=(0.95, 1.0)),
                confirmation=confirmation,
                remedy=remedy,
            )
        ],
        gap=Gap(metric="r2", validation=None, gap=None, unexplained=None),
        findings=[finding],
        checks=[CheckRecord(code=finding.code, outcome=Outcome.FAIL, seconds=0.1)],
        metrics=Metrics(
            primary="r2",
            train=SplitMetrics(n=1, values={}),
            validation=SplitMetrics(n=1, values={"r2": Estimate(estimate=None)}),
        ),
        model={},
        data={},
        environment={},
    )


def test_a_report_survives_the_way_through_json():
    assert Report.model_validate_json(report().model_dump_json()) == report()


def test_the_names_are_those_of_the_api():
    told = json.loads(report().model_dump_json())

    assert set(told) >= {
        "schema_version",
        "audit_id",
        "verdict",
        "summary",
        "diagnosis",
        "findings",
        "checks",
        "metrics",
        "model",
        "data",
        "history",
        "environment",
    }
    assert set(told["diagnosis"][0]) == {"code", "explanation", "share_of_gap", "confirmation", "remedy"}
    assert set(told["diagnosis"][0]["confirmation"]) >= {
        "confirmed",
        "intervention",
        "metric",
        "before",
        "after",
        "gain_interval",
        "placebo_gain",
    }
    assert set(told["findings"][0]) >= {
        "code",
        "family",
        "severity",
        "title",
        "summary",
        "effect",
        "p_value",
        "q_value",
        "n",
        "affected",
        "evidence",
        "figures",
        "remedy",
    }
    assert set(told["checks"][0]) >= {"code", "outcome", "reason", "smallest_visible_effect", "seconds"}
    assert told["schema_version"] == "1.0"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_are_finite(bad: float):
    for build in (
        lambda: Estimate(estimate=bad),
        lambda: Estimate(estimate=0.0, interval=(bad, 1.0)),
        lambda: Effect(name="x", estimate=bad),
        lambda: CheckRecord(code="x", outcome=Outcome.PASS, seconds=0.0, smallest_visible_effect=bad),
        lambda: (
            report()
            .model_copy(update={})
            .gap.model_validate({"metric": "r2", "validation": bad, "gap": 0.0, "unexplained": 0.0})
        ),
    ):
        with pytest.raises(ValidationError):
            build()


@pytest.mark.parametrize("p_value", [-0.1, 1.1])
def test_probabilities_are_probabilities(p_value: float):
    finding = report().findings[0].model_dump()

    with pytest.raises(ValidationError):
        Finding.model_validate(finding | {"p_value": p_value})


def test_outcomes_and_verdicts_are_the_catalogues():
    assert {outcome.value for outcome in Outcome} == {"pass", "fail", "inconclusive", "not_applicable", "error"}
    assert {severity.value for severity in Severity} == {"info", "warning", "critical"}
    with pytest.raises(ValidationError):
        Report.model_validate(report().model_dump() | {"verdict": "maybe"})
