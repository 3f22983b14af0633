"""Every form of the report: its name on the command line, its media type, and what writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.report import Report
from service.formats.junit import junit
from service.formats.markdown import markdown
from service.formats.model_card import model_card
from service.formats.rows import rows_csv, rows_parquet
from service.formats.sarif import sarif
from service.pages.report_page import report_page

TextFormat = Literal["json", "html", "markdown", "model-card", "junit", "sarif", "csv"]
Format = TextFormat | Literal["parquet"]


@dataclass(frozen=True)
class Rendered:
    """A report in one form.

    Attributes:
        body: the whole document; texts in UTF-8.
        headers: what a server sends with it beside its type.
    """

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ReportFormat:
    """One form.

    Attributes:
        media_type: by which `Accept` asks for it.
        suffix: of its files.
        about: what it is for, in the API's description.
        render: writes it.
        is_text: whether it is for terminals too.
    """

    media_type: str
    suffix: str
    about: str
    render: Callable[[Report], Rendered]
    is_text: bool = True

    def text(self, report: Report) -> str:
        """The report in a form that is text."""
        return self.render(report).body.decode()


def _plain(write: Callable[[Report], str]) -> Callable[[Report], Rendered]:
    return lambda report: Rendered(write(report).encode(), {})


def _html(report: Report) -> Rendered:
    page = report_page(report)
    return Rendered(page.html.encode(), page.headers)


# The first is the default: what clients get that do not say what they want.
FORMATS: Mapping[Format, ReportFormat] = {
    "json": ReportFormat("application/json", "json", "The report.", _plain(lambda report: report.model_dump_json())),
    "html": ReportFormat("text/html", "html", "A page that is whole in one file.", _html),
    "markdown": ReportFormat("text/markdown", "md", "A comment for a pull request.", _plain(markdown)),
    # A type of our own, because Markdown is taken and a card is Markdown too.
    "model-card": ReportFormat(
        "text/vnd.fitcheck.model-card",
        "card.md",
        "A section for the card of the model: Hugging Face's metadata, then Markdown.",
        _plain(model_card),
    ),
    "junit": ReportFormat("application/xml", "xml", "JUnit XML: one test case a check.", _plain(junit)),
    "sarif": ReportFormat("application/sarif+json", "sarif", "SARIF 2.1.0: one result a finding.", _plain(sarif)),
    "csv": ReportFormat("text/csv", "csv", "The rows that findings name, with the reasons.", _plain(rows_csv)),
    "parquet": ReportFormat(
        "application/vnd.apache.parquet",
        "parquet",
        "The rows that findings name, with the reasons, as a table.",
        lambda report: Rendered(rows_parquet(report), {}),
        is_text=False,
    ),
}
