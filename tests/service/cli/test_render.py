"""What people read in the terminal."""

import io
import re

import pytest
from rich.console import Console

from schemas.problem import FieldError, Problem
from service.cli.render import render_problem, render_report
from tests.service.cli.reports import whole_report


def printed(render, what, *, width: int = 200, **options) -> str:
    stream = io.StringIO()
    render(what, Console(file=stream, width=width, highlight=False, **options))
    return stream.getvalue()


@pytest.fixture(scope="module")
def text() -> str:
    return printed(render_report, whole_report())


def test_the_verdict_and_its_sentence_come_first(text: str):
    assert text.strip().splitlines()[0].strip() == "FAIL   The validation data were never standardised."


@pytest.mark.parametrize(
    "part",
    [
        "1  preprocessing.scaling_mismatch  explains 98% of the gap (95% to 100%)",
        "Thirty columns are scaled otherwise.",
        "Confirmed balanced accuracy 0.500 -> 0.970 (gain 0.440 to 0.500, best placebo +0.01, 200 rows): standardise",
        "Remedy Apply the training scaler.",
        "scaler = StandardScaler().fit(train)",
        "Unexplained: +0.010 balanced accuracy (2% of the gap)",
        "warning  metrics.small_validation  Title of metrics.small_validation",
        "preprocessing.outliers  A placebo did as well.",
        "1 pass, 1 fail, 1 inconclusive",
        "inconclusive: overfitting.no_signal: 20 of 50 rows",
    ],
)
def test_everything_that_matters_is_said(text: str, part: str):
    assert part in text


def test_the_metrics_of_both_splits_stand_side_by_side(text: str):
    assert re.search(r"train \(n=1,000\) +validation \(n=200\)", text)
    assert re.search(r"balanced accuracy +0\.980 \[0\.930, 1\.030\] +0\.500 \[0\.450, 0\.550\]", text)


def test_the_classification_report_is_given_for_both_splits(text: str):
    assert re.search(r"train, by class +precision +recall +f1 +rows", text)
    assert re.search(r"validation, by class", text)
    assert re.search(r"cat +0\.900 +- +0\.800 +200", text)


def test_code_that_is_not_shown_is_said_to_be_in_the_report():
    report = whole_report()
    (other,) = [one for one in report.findings if one.code not in {cause.code for cause in report.diagnosis}]
    coded = other.model_copy(update={"remedy": other.remedy.model_copy(update={"code": "x = 1"})})

    assert "--output or --html writes" in printed(render_report, report.model_copy(update={"findings": [coded]}))


def test_a_cause_is_not_repeated_among_the_findings(text: str):
    assert text.count("Title of preprocessing.scaling_mismatch") == 0


def test_a_remedy_is_said_once():
    report = whole_report()
    text = printed(render_report, report.model_copy(update={"diagnosis": report.diagnosis * 2}))

    assert text.count("scaler = StandardScaler()") == 1
    assert "Remedy the same as for 1" in text


def test_an_unexplained_rest_too_small_to_see_is_not_mentioned():
    report = whole_report()
    assert report.gap
    gap = report.gap.model_copy(update={"unexplained": 0.0001})

    assert "Unexplained" not in printed(render_report, report.model_copy(update={"gap": gap}))


def test_what_comes_from_the_audit_is_never_taken_for_markup():
    assert "[bold]x[/bold] [/]" in printed(render_report, whole_report(summary="[bold]x[/bold] [/]"))


def test_a_healthy_report_is_short():
    report = whole_report("pass").model_copy(
        update={"diagnosis": [], "findings": [], "tested_not_a_cause": [], "gap": None, "checks": []}
    )
    text = printed(render_report, report)

    assert "PASS" in text
    assert "Why" not in text
    assert "Found" not in text


def test_no_colours_off_a_terminal(text: str):
    assert "\x1b" not in text


def test_no_colour_is_honoured_on_a_terminal(monkeypatch):
    assert "\x1b[1;37;41m" in printed(render_report, whole_report(), force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")

    assert "41m" not in printed(render_report, whole_report(), force_terminal=True, color_system="standard")


def test_a_narrow_terminal_loses_no_words():
    text = printed(render_report, whole_report(), width=60)

    assert "standardised" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 60


def test_a_problem_says_what_and_where():
    problem = Problem(title="Label missing", detail="No column 'y'.", code="label_missing", file="a.csv", column="y")

    assert printed(render_problem, problem).split("\n")[:2] == [
        "error: No column 'y'.  [label_missing]",
        "  file a.csv, column y",
    ]


def test_a_problem_lists_every_invalid_field():
    errors = [FieldError(field="a.b", detail="Wrong."), FieldError(field="c", detail="Missing.")]
    text = printed(render_problem, Problem(title="t", detail="d", code="c", errors=errors))

    assert "  a.b: Wrong.\n  c: Missing." in text


def test_what_comes_from_the_data_gives_the_terminal_no_orders():
    """A column's name could clear the screen, retitle the window, or turn the text around."""
    orders = "\x1b[2J\x1b]0;x\x07\u202e\x9b1m"
    report = whole_report(summary=orders)
    findings = [
        one.model_copy(update={"title": orders, "affected": one.affected.model_copy(update={"columns": [orders]})})
        for one in report.findings
    ]
    shown = printed(render_report, report.model_copy(update={"findings": findings}))
    shown += printed(render_problem, Problem(code="c", title="t", status=422, detail=orders, column=orders))

    assert not set(orders) & set("\x1b\x07\u202e\x9b") & set(shown)
    assert "\\x1b[2J" in shown
