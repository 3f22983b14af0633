"""`fitcheck compare`: two reports from a service or from files."""

from pathlib import Path

from pydantic import ValidationError

from audits.comparison import is_worse
from schemas.comparison import Comparison
from schemas.problem import RequestError
from schemas.report import Report, Severity
from service.cli.client import Client
from service.cli.exits import ExitCode
from service.client.reports import FailOn


def report_of(named: str, client: Client) -> Report:
    """The report in a file of this name, or else of the audit with this id.

    Raises:
        RequestError: the file holds no report.
        ProblemError: the service has none.
    """
    file = Path(named)
    return _read(file) if file.suffix == ".json" or file.is_file() else client.report(named)


def gate(comparison: Comparison, fail_on: FailOn) -> ExitCode:
    """What a comparison means to a pipeline that stops from severity `fail_on`."""
    if fail_on != "never" and is_worse(comparison, Severity(fail_on)):
        return ExitCode.GATE_BROKEN
    return ExitCode.PASSED


def _read(file: Path) -> Report:
    try:
        return Report.model_validate_json(file.read_bytes())
    except OSError as error:
        raise RequestError("report_unreadable", f"{file} cannot be read: {error.strerror}.", file=str(file)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "its JSON"
        raise RequestError(
            "report_unreadable",
            f"{file} holds no report as `fitcheck report ID --format json` writes it: {place}: {first['msg']}.",
            file=str(file),
        ) from None
