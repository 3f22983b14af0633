"""`fitcheck watch` and `fitcheck db`."""

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

import service.cli
from schemas.job import Progress
from schemas.problem import Problem
from service.api.following import Following
from service.cli.client import Client
from service.jobs.client import open_jobs
from service.logs import quiet_logging
from service.settings import Settings
from tests.service.conftest import make_request
from tests.service.fakes import FakeJobs

from .test_commands import jobs, online, run, submitted

__all__ = ["jobs", "online"]  # fixtures

pytestmark = pytest.mark.usefixtures("online")


@pytest.fixture(autouse=True)
def only_the_command_prints() -> None:
    """The application in this process would log to where the command prints."""
    quiet_logging()


class TestWatch:
    def test_a_finished_audit_is_shown(self, jobs: FakeJobs):
        audit = submitted(jobs)
        jobs.succeed(audit, "warn")

        result = run("watch", audit, "--json")

        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["status"] == "succeeded"

    def test_one_without_a_report_ends_with_3(self, jobs: FakeJobs):
        audit = submitted(jobs)
        jobs.fail(audit, Problem(title="x", detail="It cannot be read.", code="model_unreadable"))

        result = run("watch", audit)

        assert result.exit_code == 3
        assert "It cannot be read." in result.output

    def test_an_unknown_one_is_a_usage_error(self):
        assert run("watch", "nobody").exit_code == 2

    def test_progress_is_told_by_the_service(self, jobs: FakeJobs, monkeypatch):
        """Every stage is shown; the job itself is asked for twice, not again and again."""
        monkeypatch.setattr("service.api.following.LOOK_SECONDS", 0.02)
        audit = submitted(jobs)
        asked = []
        get = jobs.get
        monkeypatch.setattr(jobs, "get", lambda *a, **k: asked.append(1) or get(*a, **k))

        def work() -> None:
            for stage in ("opening", "checking", "diagnosing"):
                time.sleep(0.2)
                jobs.start(audit, Progress(fraction=0.5, stage=stage))
            time.sleep(0.2)
            jobs.succeed(audit)

        worker = threading.Thread(target=work)
        worker.start()
        result = run("watch", audit)
        worker.join()

        assert result.exit_code == 0
        for stage in ("opening", "checking", "diagnosing"):
            assert stage in result.stderr
        assert len(asked) <= 4

    def test_a_service_without_events_is_polled(self, jobs: FakeJobs, monkeypatch):
        def refuse(*_: object) -> None:
            raise httpx.ReadTimeout("a proxy in between holds the events back")

        monkeypatch.setattr(Client, "_events", refuse)
        audit = submitted(jobs)
        threading.Timer(0.2, jobs.succeed, [audit]).start()

        assert run("watch", audit).exit_code == 0

    def test_a_stream_that_is_cut_off_is_taken_up_again(self, jobs: FakeJobs, monkeypatch):
        """As by a restart of the service: the second goes on after the last event of the first."""
        audit = submitted(jobs)
        after = []
        stream = Following.stream

        def cut(self, audit_id, last):
            after.append(last)
            if len(after) == 1:
                threading.Timer(0.3, self.close).start()
                threading.Timer(0.6, jobs.succeed, [audit]).start()
            else:
                self._is_closed = False
            return stream(self, audit_id, last)

        monkeypatch.setattr(Following, "stream", cut)

        assert run("watch", audit).exit_code == 0
        assert after[0] == 0
        assert after[1] > 0


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "fitcheck.sqlite"


def db(*arguments: str, database: Path) -> str:
    result = run("db", *arguments, "--database", f"sqlite:///{database}", "--state-dir", str(database.parent))
    assert result.exit_code == 0, result.output
    return result.stdout


class TestDatabase:
    @pytest.mark.parametrize("command", [c.name or c.callback.__name__ for c in service.cli.db.registered_commands])
    def test_every_command_explains_itself(self, command: str):
        assert "Usage" in run("db", command, "--help").output

    def test_upgrade_makes_the_tables_and_status_counts(self, database: Path):
        db("upgrade", database=database)
        with closing(open_jobs(Settings(database=f"sqlite:///{database}"))) as opened:
            opened.submit(make_request(), caller="me")
            cancelled, _ = opened.submit(make_request(), caller="me")
            opened.cancel(cancelled.id, caller="me")

        status = json.loads(db("status", "--json", database=database))

        assert status["version"] == status["newest_version"]
        assert status["queued"] == {"cpu": 1}
        assert status["ended"] == {"succeeded": 0, "failed": 0, "cancelled": 1}

    def test_status_makes_nothing(self, database: Path):
        result = run("db", "status", "--database", f"sqlite:///{database}")

        assert result.exit_code == 2
        assert "fitcheck db upgrade" in result.output
        assert not database.exists()

    def test_status_of_an_older_database_tells_its_version(self, database: Path):
        sqlite3.connect(database).close()
        database.touch()

        assert json.loads(db("status", "--json", database=database))["version"] is None

    def test_prune_says_what_it_deleted(self, database: Path):
        db("upgrade", database=database)

        assert "0 audits, 0 reports" in db("prune", "--keep-jobs-days", "1", database=database)

    def test_upgrade_and_prune_as_json(self, database: Path):
        upgraded = json.loads(db("upgrade", "--json", database=database))
        pruned = json.loads(db("prune", "--keep-jobs-days", "1", "--json", database=database))

        assert upgraded["version"] == upgraded["newest_version"]
        assert pruned == {"jobs": 0, "reports": 0, "uploads": 0}

    def test_prune_deletes_nothing_unasked(self, database: Path):
        result = run("db", "prune", "--database", f"sqlite:///{database}")

        assert result.exit_code == 2
        assert "--keep-jobs-days" in result.output
