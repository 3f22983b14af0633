"""What was mended, what is new, and which metrics really differ."""

import pytest

from audits.comparison import compare, is_worse
from schemas.report import CheckRecord, Estimate, Finding, Metrics, Outcome, Remedy, Report, Severity, SplitMetrics

CODE = "metrics.weak_model"


def report(name: str, outcome: Outcome | None = None, severity: Severity | None = None, **parts) -> Report:
    """A report of one check, with its finding where a severity is given."""
    told = {"title": "Weak", "summary": "It is.", "n": 9, "remedy": Remedy(text="Mend")}
    found = [Finding(code=CODE, family="metrics", severity=severity, **told)] if severity else []
    checks = [CheckRecord(code=CODE, outcome=outcome, seconds=0, smallest_visible_effect=0.02)] if outcome else []
    whole = {
        "verdict": "fail" if severity else "pass",
        "summary": "",
        "diagnosis": [],
        "findings": found,
        "checks": checks,
        "metrics": metrics(),
        "model": {},
        "data": {},
        "environment": {},
    }
    return Report(audit_id=name, **{**whole, **parts})


def metrics(primary: str = "balanced_accuracy", n: int = 100, **values: tuple[float, tuple[float, float]]) -> Metrics:
    estimates = {name: Estimate(estimate=value, interval=interval) for name, (value, interval) in values.items()}
    return Metrics(primary=primary, train=SplitMetrics(n=1, values={}), validation=SplitMetrics(n=n, values=estimates))


FOUND = report("a", Outcome.FAIL, Severity.CRITICAL)
PASSED = report("p", Outcome.PASS)
UNSURE = report("u", Outcome.INCONCLUSIVE)
NOT_RUN = report("n")


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (FOUND, PASSED, "mended"),
        (FOUND, UNSURE, "unanswered"),
        (FOUND, NOT_RUN, "unanswered"),
        (FOUND, FOUND, "remaining"),
        (PASSED, FOUND, "new"),
        (UNSURE, FOUND, "not_tested_before"),
        (NOT_RUN, FOUND, "not_tested_before"),
    ],
)
def test_a_finding_is_gone_only_where_the_check_looked(before, after, change):
    (found,) = compare(before, after).findings

    assert found.change == change


def test_what_was_mended_says_what_would_have_been_seen():
    (found,) = compare(FOUND, PASSED).findings

    assert found.smallest_visible_effect == 0.02


def test_what_nobody_found_is_not_told():
    assert compare(PASSED, UNSURE).findings == []
    assert compare(PASSED, UNSURE).summary == "Neither audit found anything."


def test_the_summary_counts():
    assert compare(FOUND, PASSED).summary == "1 mended, none new."
    assert compare(UNSURE, FOUND).summary == "None mended, none new, 1 not tested before."


class TestGate:
    @pytest.mark.parametrize(
        ("before", "after", "severity", "worse"),
        [
            (PASSED, FOUND, Severity.CRITICAL, True),
            (UNSURE, FOUND, Severity.CRITICAL, True),
            (FOUND, FOUND, Severity.WARNING, False),
            (FOUND, PASSED, Severity.WARNING, False),
            (PASSED, report("w", Outcome.FAIL, Severity.WARNING), Severity.CRITICAL, False),
            (PASSED, report("w", Outcome.FAIL, Severity.WARNING), Severity.WARNING, True),
            (report("w", Outcome.FAIL, Severity.WARNING), FOUND, Severity.CRITICAL, True),
            (report("i", Outcome.FAIL, Severity.INFO), FOUND, Severity.INFO, False),
        ],
    )
    def test_only_what_got_worse_breaks_it(self, before, after, severity, worse):
        assert is_worse(compare(before, after), severity) is worse


class TestMetrics:
    @pytest.mark.parametrize(
        ("name", "before", "after", "change"),
        [
            ("balanced_accuracy", (0.5, (0.45, 0.55)), (0.9, (0.87, 0.93)), "better"),
            ("balanced_accuracy", (0.9, (0.87, 0.93)), (0.5, (0.45, 0.55)), "worse"),
            ("log_loss", (0.5, (0.45, 0.55)), (0.9, (0.87, 0.93)), "worse"),
            ("rmse", (9.0, (8.0, 10.0)), (5.0, (4.0, 6.0)), "better"),
            ("brier_mean", (9.0, (8.0, 10.0)), (5.0, (4.0, 6.0)), "better"),
            ("positive_rate", (0.5, (0.45, 0.55)), (0.9, (0.87, 0.93)), "different"),
            ("bias", (0.5, (0.45, 0.55)), (0.9, (0.87, 0.93)), "different"),
            ("bias", (-0.9, (-0.93, -0.87)), (-0.5, (-0.55, -0.45)), "different"),
            ("balanced_accuracy", (0.5, (0.45, 0.55)), (0.56, (0.54, 0.6)), "not_told_apart"),
            ("balanced_accuracy", (0.5, (0.4, 0.5)), (0.5, (0.5, 0.6)), "not_told_apart"),
        ],
    )
    def test_intervals_that_touch_tell_nothing_apart(self, name, before, after, change):
        found = compare(report("a", metrics=metrics(**{name: before})), report("b", metrics=metrics(**{name: after})))
        (compared,) = found.metrics

        assert compared.change == change
        assert compared.difference == pytest.approx(after[0] - before[0])

    def test_a_metric_of_one_report_alone_stands_beside_nothing(self):
        (compared,) = compare(report("a"), report("b", metrics=metrics(f1=(0.5, (0.4, 0.6))))).metrics

        assert (compared.before, compared.difference, compared.change) == (None, None, "not_told_apart")


def test_notes_say_why_the_two_may_not_be_comparable():
    other = report("b", model={"inputs": ["x"]}, metrics=metrics("r2", n=50))
    notes = compare(report("a"), other).notes

    assert len(notes) == 3
    assert "inputs" in notes[0]
    assert "100 rows before and 50 after" in notes[1]
    assert "in r2 after" in notes[2]


def test_the_metric_comes_first_where_it_moved():
    """A pipeline's owner asks whether the model is better before asking which finding is gone."""
    low, high, near = ((0.56, (0.5, 0.62)), (0.99, (0.97, 1.0)), (0.6, (0.55, 0.65)))
    before = report("a", Outcome.FAIL, Severity.CRITICAL, metrics=metrics(balanced_accuracy=low))
    better = compare(before, report("b", Outcome.PASS, metrics=metrics(balanced_accuracy=high)))
    blurred = compare(before, report("c", Outcome.PASS, metrics=metrics(balanced_accuracy=near)))

    assert better.summary == "Validation balanced accuracy rose from 0.560 to 0.990. 1 mended, none new."
    assert blurred.summary == "1 mended, none new."
