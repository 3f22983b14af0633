"""A report written for other tools."""

import sys
from pathlib import Path
from typing import cast

from schemas.problem import RequestError
from schemas.report import Report
from service.formats.registry import FORMATS, Format


def write_report(report: Report, form: str, target: Path | None = None) -> None:
    """Write the report to a file, or to standard output.

    Raises:
        RequestError: the file cannot be written.
    """
    # people open the file too
    pretty = report.model_dump_json(indent=2) + "\n"
    text = pretty if form == "json" else FORMATS[cast(Format, form)].text(report)
    if target is None:
        sys.stdout.write(text)
        return
    try:
        target.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise RequestError(
            "output_unwritable",
            f"{target} cannot be written: {error.strerror}. Name a file in a folder of yours.",
            file=str(target),
        ) from None
