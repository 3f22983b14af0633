"""`fitcheck compare`: reports from a service and from files, as text and JSON, with its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import service.cli
from schemas.report import Outcome
from service.api.app import create_app
from service.cli.client import Client
from service.settings import Settings
from tests.service.asgi import AsgiTransport
from tests.service.cli.reports import whole_report
from tests.service.conftest import make_request
from tests.service.fakes import FakeJobs


@pytest.fixture
def ids(monkeypatch) -> tuple[str, str]:
    """Two audits of the service that the commands talk to: the first failed, the second passed all checks."""
    jobs = FakeJobs()
    app = create_app(Settings(), jobs)
    monkeypatch.setattr(service.cli, "_client", lambda url, key: Client(url, key, AsgiTransport(app)))
    made = [jobs.submit(make_request(), caller="anonymous")[0].id for _ in range(2)]
    jobs.reports = {made[0]: whole_report(), made[1]: healthy()}
    return made[0], made[1]


def healthy():
    failing = whole_report("pass")
    checks = [one.model_copy(update={"outcome": Outcome.PASS}) for one in failing.checks]
    return failing.model_copy(update={"audit_id": "audit-2", "findings": [], "diagnosis": [], "checks": checks})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(service.cli.app, ("compare", *arguments), env={"COLUMNS": "160"})


def test_what_was_mended_is_told_and_succeeds(ids):
    result = run(*ids)

    assert result.exit_code == 0, result.output
    assert "FAIL  →  PASS" in result.output
    assert "1 mended" in result.output
    assert "preprocessing.scaling_mismatch" in result.output
    assert "0.50" in result.output


@pytest.mark.parametrize(("fail_on", "code"), [("warning", 1), ("critical", 1), ("never", 0)])
def test_what_is_new_ends_with_one(ids, fail_on: str, code: int):
    result = run(ids[1], ids[0], "--fail-on", fail_on)

    assert result.exit_code == code
    assert "1 new" in result.output


def test_json_holds_all(ids):
    printed = run(*ids, "--json").stdout
    found = json.loads(printed[printed.index("{\n") :])  # after the log of the service in this process

    assert {one["change"] for one in found["findings"]} == {"mended", "unanswered"}
    assert found["verdict_after"] == "pass"


def test_files_are_compared_with_audits(ids, tmp_path: Path):
    file = tmp_path / "before.json"
    file.write_text(whole_report().model_dump_json())

    assert run(str(file), ids[1]).exit_code == 0


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_file_that_holds_no_report_is_the_commands_fault(ids, tmp_path: Path, content: str | None):
    file = tmp_path / "before.json"
    if content is not None:
        file.write_text(content)
    result = run(str(file), ids[1])

    assert result.exit_code == 2
    assert "report_unreadable" in result.output


def test_an_unknown_audit_is_the_commands_fault(ids):
    assert run("nothing", ids[1]).exit_code == 2
