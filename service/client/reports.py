"""A report in a program's hands: a short view in notebooks, and a gate that raises."""

from html import escape
from typing import Literal, Self, cast, overload

from pydantic import PrivateAttr

from schemas.report import Cause, Report, Verdict
from service.client.errors import GateError

FailOn = Literal["critical", "warning", "never"]
BREAKING: dict[FailOn, set[Verdict]] = {"critical": {"fail"}, "warning": {"fail", "warn"}, "never": set()}
# Black or white text stands out on each of them (WCAG AA).
COLOURS: dict[Verdict, str] = {"pass": "#1a7f37", "warn": "#9a6700", "fail": "#b42318", "inconclusive": "#57606a"}
SHOWN_CAUSES = 3


def breaks(verdict: Verdict, fail_on: FailOn) -> bool:
    """Whether a pipeline that stops from severity `fail_on` stops at this verdict."""
    return verdict in BREAKING[fail_on]


class AuditReport(Report):
    """The report of an audit, as the API gives it."""

    _page: str | None = PrivateAttr(None)

    def at(self, page: str) -> Self:
        """The same report, with the address of its page."""
        self._page = page
        return self

    @property
    def page(self) -> str | None:
        """Where a browser shows the whole report."""
        return self._page

    @overload
    def render(self, form: Literal["parquet"]) -> bytes: ...

    @overload
    def render(self, form: Literal["html", "markdown", "model-card", "junit", "sarif", "csv"]) -> str: ...

    def render(self, form: str) -> str | bytes:
        """The report for people or for another tool, as `fitcheck report --format` writes it."""
        from service.formats.registry import FORMATS, Format  # noqa: PLC0415 - brings the templates

        chosen = FORMATS[cast(Format, form)]
        return chosen.text(self) if chosen.is_text else chosen.render(self).body

    def raise_for_gate(self, fail_on: FailOn = "critical") -> Self:
        """The report itself, where its verdict passes the gate.

        Args:
            fail_on: the severity from which the gate is broken, as `gate.fail_on` of a request.

        Raises:
            GateError: it does not; its `detail` is the summary of the report.
        """
        if breaks(self.verdict, fail_on):
            raise GateError("gate_broken", f"{self.verdict}: {self.summary}")
        return self

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, the first causes, and the way to the page."""
        causes = "".join(map(_cause, self.diagnosis[:SHOWN_CAUSES]))
        more = len(self.diagnosis) - SHOWN_CAUSES
        rest = f"<p>and {more} more</p>" if more > 0 else ""
        link = f'<p><a href="{escape(self._page)}" target="_blank">The whole report</a></p>' if self._page else ""
        return (
            f'<div><strong style="background:{COLOURS[self.verdict]};color:#fff;padding:.1em .5em;border-radius:.3em">'
            f"{self.verdict}</strong> {escape(self.summary)}{f'<ol>{causes}</ol>' if causes else ''}{rest}{link}</div>"
        )


def _cause(cause: Cause) -> str:
    proof = cause.confirmation
    confirmed = ""
    if proof is not None and proof.confirmed:
        confirmed = f" <em>Confirmed: {escape(proof.metric)} {proof.before:.3f} to {proof.after:.3f}.</em>"
    return f"<li><code>{escape(cause.code)}</code> {escape(cause.explanation)}{confirmed}</li>"
