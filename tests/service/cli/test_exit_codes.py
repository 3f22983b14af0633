"""Every command ends with the codes that docs/command_line.md promises, and tells programs what it tells people."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import service.cli
from schemas.problem import Problem
from service.jobs.errors import DatabaseUnavailable
from service.logs import quiet_logging
from service.settings import Settings
from tests.service.cli.reports import whole_report
from tests.service.fakes import FakeJobs

from .test_commands import REQUEST, jobs, online, run, submitted

__all__ = ["jobs", "online"]  # fixtures

PAGE = Path(__file__).parents[3] / "docs" / "command_line.md"
UNTIL_STOPPED = {"serve", "api", "worker"}
NO_SERVICE = ("--url", "http://127.0.0.1:1")
NO_DATABASE = ("--database", "postgresql://nobody@127.0.0.1:1/none")


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for inner, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {inner}".strip())
    if not getattr(command, "commands", {}):
        yield name, command


COMMANDS = dict(commands(typer.main.get_command(service.cli.app)))
# What each is given so that it fails for want of a service, or of a database.
AWAY = {
    "submit": (*REQUEST, *NO_SERVICE),
    **dict.fromkeys(("status", "watch", "report", "cancel"), ("audit-1", *NO_SERVICE)),
    "list": NO_SERVICE,
    "compare": ("audit-1", "audit-2", *NO_SERVICE),
    **dict.fromkeys(("db upgrade", "db status", "keys list", "worker"), NO_DATABASE),
    "db prune": ("--keep-jobs-days", "1", *NO_DATABASE),
    "keys create": ("ci", *NO_DATABASE),
    "keys revoke": ("id", *NO_DATABASE),
    "serve": ("--port", "0", *NO_DATABASE),
    "api": ("--port", "0", *NO_DATABASE),
}
# Wrong in what is asked for, not in how it is spelled.
FAULTY = {
    "audit": ("--model", "/nowhere", "--train", "/nowhere.csv", "--validation", "/nowhere.csv", "--label", "y"),
    "submit": ("--model", "/nowhere", "--train", "/nowhere.csv", "--validation", "/nowhere.csv", "--label", "y"),
    **dict.fromkeys(("status", "watch", "report", "cancel", "catalogue"), ("nothing",)),
    "list": ("--tag", "without-a-colon"),
    "compare": ("nothing", "nothing"),
    "db status": ("--state-dir", "/nowhere"),
    "db prune": (),
    "keys create": ("ci", "--scope", "all"),
    "keys revoke": ("nothing",),
    **dict.fromkeys(("serve", "api", "worker", "db upgrade", "keys list"), ("--database", "mysql://x")),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state but that of the test, and no process beside it."""
    quiet_logging()
    monkeypatch.setenv("FITCHECK_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("service.worker.supervisor.configure_logging", lambda _: None)
    monkeypatch.setattr("service.api.server.configure_logging", lambda _: None)
    monkeypatch.setattr("service.worker.supervisor.hide", lambda: None)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def promised() -> dict[str, list[str]]:
    """Command -> what the page says of 0, 1 and 3."""
    rows = PAGE.read_text("utf-8").split("| command | 0 | 1 | 3 |\n")[1].split("\n\n")[0].splitlines()[1:]
    return {name: cells(row)[1:] for row in rows for name in re.findall(r"`([^`]+)`", cells(row)[0])}


def test_the_page_tells_of_every_command():
    groups = {name.removesuffix(" …") for name in promised()}

    assert {name for name in COMMANDS if name not in groups and name.split()[0] not in groups} == set()


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - UNTIL_STOPPED))
def test_every_command_that_ends_speaks_json(name: str):
    assert "--json" in {option for one in COMMANDS[name].params for option in one.opts}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_word_that_it_does_not_know_is_2(name: str):
    assert run(*name.split(), "--nonsense").exit_code == 2


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_the_user_s_to_mend_is_2(name: str):
    result = run(*name.split(), *FAULTY[name])

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"audit", "catalogue"}))
def test_a_service_or_a_database_that_is_away_is_3(name: str, monkeypatch: pytest.MonkeyPatch):
    """`audit` and `catalogue` need neither."""
    monkeypatch.setattr("service.client.calls.POLL_SECONDS", 0.01)
    result = run(*name.split(), *AWAY[name])

    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_command_that_cannot_do_its_work_is_3(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr("service.cli.auditing.audit_here", fail)

    assert run("audit", *REQUEST).exit_code == 3


class TestDone:
    """0, and 1 for what a pipeline stops at."""

    @pytest.fixture
    def audit(self, online, jobs: FakeJobs) -> str:
        audit = submitted(jobs)
        jobs.succeed(audit, "fail")
        jobs.reports[audit] = whole_report().model_copy(update={"audit_id": audit})
        return audit

    @pytest.mark.parametrize("name", ["status", "watch", "report", "cancel"])
    def test_what_is_asked_of_an_audit_is_0_whatever_its_verdict(self, audit: str, name: str):
        result = run(name, audit, "--json")

        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["verdict"] == "fail"

    @pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("warning", 1), ("critical", 1)])
    def test_a_report_is_a_gate_where_it_is_asked_to_be(self, audit: str, fail_on: str, code: int):
        assert run("report", audit, "--fail-on", fail_on).exit_code == code

    @pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("critical", 1)])
    def test_a_submission_is_a_gate_where_it_waits(self, online, jobs: FakeJobs, monkeypatch, fail_on, code):
        monkeypatch.setattr("service.cli.client.Client.wait", lambda *_: whole_report("fail"))

        assert run("submit", *REQUEST, "--fail-on", fail_on).exit_code == 0
        assert run("submit", *REQUEST, "--wait", "--fail-on", fail_on).exit_code == code

    @pytest.mark.parametrize("end", ["fail", "cancel"])
    def test_an_audit_without_a_report_is_3(self, online, jobs: FakeJobs, end: str):
        audit = submitted(jobs)
        if end == "fail":
            jobs.fail(audit, Problem(title="x", detail="It cannot be read.", code="model_unreadable"))
        else:
            jobs.cancel(audit, caller="anonymous")

        assert run("watch", audit).exit_code == 3
        assert run("status", audit).exit_code == 0

    def test_what_needs_no_audit_is_0(self, online, jobs: FakeJobs):
        assert json.loads(run("list", "--json").stdout) == []
        assert json.loads(run("catalogue", "--json").stdout)
        assert run("db", "upgrade").exit_code == run("db", "status").exit_code == run("keys", "list").exit_code == 0

    @pytest.mark.parametrize("name", sorted(UNTIL_STOPPED))
    def test_a_service_that_is_stopped_is_0(self, name: str, monkeypatch: pytest.MonkeyPatch):
        def stopped(settings: Settings) -> int:
            return 0

        monkeypatch.setattr("service.worker.supervisor.run_serve", stopped)
        monkeypatch.setattr("service.worker.supervisor.run_worker", stopped)
        monkeypatch.setattr("service.api.server.run_api", stopped)

        assert run(name).exit_code == 0
