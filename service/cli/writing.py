"""A report written for other tools."""

import sys
from pathlib import Path
from typing import cast

from schemas.problem import RequestError
from schemas.report import Report
from service.formats.registry import FORMATS, Format


def on_terminal() -> bool:
    return sys.stdout.isatty()


def write_report(report: Report, form: str, target: Path | None = None) -> None:
    """Write the report to a file, or to standard output.

    Raises:
        RequestError: the file cannot be written; the form is no text, and standard output is a terminal.
    """
    chosen = FORMATS[cast(Format, form)]
    if target is None and not chosen.is_text and on_terminal():
        raise RequestError("output_not_text", f"{form} is nothing for a terminal: name a file with --output.")
    # people open the file too
    pretty = report.model_dump_json(indent=2) + "\n"
    body = pretty.encode() if form == "json" else chosen.render(report).body
    if target is None:
        sys.stdout.buffer.write(body)
        return
    try:
        target.write_bytes(body)
    except OSError as error:
        raise RequestError(
            "output_unwritable",
            f"{target} cannot be written: {error.strerror}. Name a file in a folder of yours.",
            file=str(target),
        ) from None
