"""The page of a report as a file: whole, escaped, small, in the order in which it is read."""

import itertools
import json
import re
from html.parser import HTMLParser

import pytest

from schemas.report import Report
from service.formats.markdown import markdown
from service.pages.rendering import data, static
from service.pages.report_page import report_page
from tests.service.cli.reports import whole_report
from tests.service.pages.hostile import HOSTILE, hostile_report
from tests.service.pages.large import large_report
from tests.service.reports import report as smallest_report


class Read(HTMLParser):
    """Tags with their attributes, headings and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.headings: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((tag, ""))

    def handle_data(self, text):
        if self.tags and self.tags[-1][0] in {"script", "style"}:
            return
        self.text.append(text)
        if self.headings:
            self.headings[-1] = (self.headings[-1][0], self.headings[-1][1] or text.strip())


def ids_of(page: Read) -> list[str]:
    return [found["id"] for _, found in page.tags if "id" in found]


def test_the_answer_comes_first():
    page = Read(report_page(whole_report()).html)

    assert page.headings[0] == ("h1", "The validation data were never standardised.")
    order = [name for tag, name in page.headings if tag == "h2"]
    assert order == ["Why", "Also found", "Metrics", "Tested, not a cause", "Every check", "What was audited"]


@pytest.mark.parametrize(("split", "words"), [("train", "Training rows"), ("validation", "Validation rows")])
def test_rows_are_those_of_their_split(split, words):
    report = whole_report()
    affected = report.findings[0].affected.model_copy(update={"split": split, "rows": [7]})
    first = report.findings[0].model_copy(update={"affected": affected})
    page = report_page(report.model_copy(update={"findings": [first, *report.findings[1:]]})).html

    assert f"{words}, counted from 0: 7." in page


def proven_first() -> Report:
    """As the engine writes one: the summary begins with the proof of the first cause."""
    report = whole_report(summary="When we standardise 30 columns, it goes from 0.50 to 0.97. 1 further cause below.")
    cause = report.diagnosis[0].model_copy(update={"explanation": report.summary.partition(". 1")[0] + "."})
    return report.model_copy(update={"diagnosis": [cause]})


def test_the_answer_is_the_cause_and_what_shows_it_comes_next():
    html = report_page(proven_first()).html

    assert Read(html).headings[0] == ("h1", "Title of preprocessing.scaling_mismatch.")
    assert "</h1>\n<p>When we standardise 30 columns" in html
    assert html.count("When we standardise 30 columns") == 1
    assert "**Title of preprocessing.scaling\\_mismatch.** When we standardise" in markdown(proven_first())


def test_headings_skip_no_level():
    levels = [int(tag[1]) for tag, _ in Read(report_page(whole_report()).html).headings]

    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_a_cause_has_its_proof_and_its_remedy():
    text = " ".join(Read(report_page(whole_report()).html).text)

    assert "0.50 → 0.97" in text
    assert "0.44 to 0.50" in text
    assert "+0.01" in text
    assert "Explains" in text
    assert "98%" in text
    assert "scaler = StandardScaler().fit(train)" in text


def test_a_refuted_repair_and_every_check_are_told():
    text = " ".join(Read(report_page(whole_report()).html).text)

    assert "A placebo did as well." in text
    assert "20 of 50 rows" in text
    assert "1 passed, 1 failed, 1 inconclusive" in text


def test_the_smallest_report_is_a_page_too():
    page = Read(report_page(smallest_report("audit-1")).html)

    assert page.headings[0] == ("h1", "All is well.")


def test_nothing_comes_from_elsewhere():
    """No address outside the page in any attribute, and no code in any."""
    page = Read(report_page(whole_report()).html)

    for tag, found in page.tags:
        for name in ("src", "href", "action", "data", "srcset"):
            value = found.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, found)
        assert not [name for name in found if name.startswith("on") or name == "style"], (tag, found)


def test_names_of_models_and_data_are_never_markup():
    """A class, a column, a file and a reason that hold tags are texts on the page."""
    html = report_page(hostile_report()).html
    clean = report_page(whole_report()).html

    page = Read(html)
    assert "evil.example" in html
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in Read(clean).tags} | {"figure", "figcaption"}
    assert not [found for tag, found in page.tags if tag == "img" or "onerror" in found]
    runs = [found for tag, found in page.tags if tag == "script" and found.get("type") != "application/json"]
    assert len(runs) == 4


def test_the_policy_names_every_script_by_its_hash_and_allows_no_other():
    page = report_page(hostile_report())

    assert page.policy.count("'sha256-") == 5
    assert "unsafe" not in page.policy
    assert page.policy in page.html.replace("&#39;", "'")


def test_data_in_a_script_element_cannot_end_it():
    text = str(data({"name": HOSTILE + "\u2028<!--"}))

    assert not re.search("[<>\u2028]", text)
    assert json.loads(text)["name"].startswith(HOSTILE)


def test_ids_are_unique():
    ids = ids_of(Read(report_page(large_report()).html))

    assert len(ids) == len(set(ids))


def test_every_figure_has_its_words_and_its_numbers():
    page = Read(report_page(hostile_report()).html)

    drawings = [found for _, found in page.tags if "data-figure" in found]
    assert drawings
    assert all(found["role"] == "img" and found["aria-label"] for found in drawings)
    assert {found["data-figure"] for found in drawings} <= set(ids_of(page))
    assert sum(tag == "figcaption" for tag, _ in page.tags) == len(drawings)


def test_a_report_over_a_thousand_columns_stays_below_two_megabytes():
    html = report_page(large_report()).html

    assert len(html.encode()) < 2_000_000
    assert html.count("<figure>") <= 30


@pytest.mark.parametrize(
    "name", ["figures.js", "vendor/vega.min.js", "vendor/vega-lite.min.js", "vendor/vega-embed.min.js"]
)
def test_scripts_can_stand_inside_their_tags(name):
    assert static(name)
