"""The verdict and one sentence."""

import pytest

from audits import diagnosis
from audits.evidence.case import Case
from audits.results import CheckResult
from schemas.report import Outcome, Severity
from tests.audits.diagnosis.findings import GAP, LABELS, MEMORY, SCALE, found
from tests.factories import case


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ([found(SCALE), found(LABELS, severity=Severity.WARNING)], "fail"),
        ([found(LABELS, severity=Severity.WARNING)], "warn"),
        ([found(LABELS, severity=Severity.INFO, outcome=Outcome.PASS)], "pass"),
        ([], "pass"),
    ],
)
def test_the_verdict_is_that_of_the_worst_finding(results: list[CheckResult], verdict: str):
    assert diagnosis.verdict({r.finding.code: r for r in results if r.finding}) == verdict


@pytest.mark.parametrize("blind", [CheckResult.inconclusive("few"), CheckResult(Outcome.ERROR, "crashed")])
@pytest.mark.parametrize(("code", "verdict"), [(SCALE, "inconclusive"), (GAP, "inconclusive"), (MEMORY, "pass")])
def test_silence_of_a_main_check_that_could_not_see_is_no_acquittal(blind: CheckResult, code: str, verdict: str):
    assert diagnosis.verdict({code: blind}) == verdict


def test_the_summary_leads_with_the_first_cause(wide_gap: Case):
    causes = diagnosis.rank(wide_gap, {SCALE: found(SCALE, recovered=0.3), LABELS: found(LABELS, recovered=0.2)})

    assert diagnosis.summarise(wide_gap, causes, "fail") == f"summary of {SCALE}. 1 further cause below."
    assert diagnosis.summarise(wide_gap, causes[:1], "fail") == f"summary of {SCALE}."


def test_the_summary_of_a_healthy_model_states_its_score():
    one = case()

    told = diagnosis.summarise(one, [], "pass")

    assert told.startswith("No fault was found: validation balanced accuracy 0.")
    assert "n = 300" in told
    assert diagnosis.summarise(one, [], "inconclusive").startswith("Nothing was found, but")
