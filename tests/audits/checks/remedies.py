"""The remedy's code, run as a user would run it."""

from typing import Any

from audits.results import CheckResult
from schemas.report import Remedy


def remedy_of(result: CheckResult) -> Remedy:
    assert result.finding is not None
    return result.finding.remedy


def defined_by(remedy: Remedy) -> dict[str, Any]:
    """The names that the code defines."""
    assert remedy.code is not None
    names: dict[str, Any] = {}
    exec(compile(remedy.code, "<remedy>", "exec"), names)
    return names
