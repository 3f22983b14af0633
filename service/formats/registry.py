"""Every form of the report: its name on the command line, its media type, and what writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.report import Report
from service.formats.junit import junit
from service.formats.markdown import markdown
from service.formats.rows import rows_csv
from service.formats.sarif import sarif
from service.pages.report_page import report_page

Format = Literal["json", "html", "markdown", "junit", "sarif", "csv"]


@dataclass(frozen=True)
class Rendered:
    """A report in one form.

    Attributes:
        text: the whole document.
        headers: what a server sends with it beside its type.
    """

    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ReportFormat:
    """One form.

    Attributes:
        media_type: by which `Accept` asks for it.
        about: what it is for, in the API's description.
        render: writes it.
    """

    media_type: str
    about: str
    render: Callable[[Report], Rendered]

    def text(self, report: Report) -> str:
        return self.render(report).text


def _plain(write: Callable[[Report], str]) -> Callable[[Report], Rendered]:
    return lambda report: Rendered(write(report), {})


def _html(report: Report) -> Rendered:
    page = report_page(report)
    return Rendered(page.html, page.headers)


# The first is the default: what clients get that do not say what they want.
FORMATS: Mapping[Format, ReportFormat] = {
    "json": ReportFormat("application/json", "The report.", _plain(lambda report: report.model_dump_json())),
    "html": ReportFormat("text/html", "A page that is whole in one file.", _html),
    "markdown": ReportFormat("text/markdown", "A comment for a pull request.", _plain(markdown)),
    "junit": ReportFormat("application/xml", "JUnit XML: one test case a check.", _plain(junit)),
    "sarif": ReportFormat("application/sarif+json", "SARIF 2.1.0: one result a finding.", _plain(sarif)),
    "csv": ReportFormat("text/csv", "The rows that findings name, with the reasons.", _plain(rows_csv)),
}
