"""The commands: what they print, where, and with which exit code they end."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

import service.cli
from audits.isolation.probing import IsolationUnavailable, probe
from schemas.isolation import Isolation
from schemas.job import Progress
from schemas.problem import DataError, EvaluatorError, Problem
from service.api.app import create_app
from service.cli.client import Client
from service.jobs.errors import DatabaseUnavailable
from service.settings import Settings, get_settings
from tests.service.asgi import AsgiTransport
from tests.service.cli.reports import whole_report
from tests.service.fakes import FakeJobs

EXAMPLE = Path(__file__).parents[3] / "examples" / "wrong_scaling"
REQUEST = ("--request", str(EXAMPLE / "request.json"))


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(service.cli.app, arguments, env={"COLUMNS": "200", **(env or {})})


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def online(monkeypatch, jobs: FakeJobs) -> list[tuple[str, str | None]]:
    """The commands talk to an application in this process; gives the (address, key) that they asked for."""
    app = create_app(Settings(data_roots=(EXAMPLE.parent,)), jobs)
    asked = []

    def client(url: str, key: str | None) -> Client:
        asked.append((url, key))
        return Client(url, key, AsgiTransport(app))

    monkeypatch.setattr(service.cli, "_client", client)
    monkeypatch.setattr("service.client.calls.POLL_SECONDS", 0.01)
    return asked


def submitted(jobs: FakeJobs) -> str:
    assert run("submit", *REQUEST).exit_code == 0
    return jobs.stored[-1].job.id


class TestHelp:
    def test_it_answers_at_once(self):
        """Neither the engine, nor the job engine, nor even pydantic is imported for it."""
        code = (
            "import sys; from typer.testing import CliRunner; import service.cli;"
            "assert CliRunner().invoke(service.cli.app, ['--help']).exit_code == 0;"
            "print([m for m in ('pydantic', 'numpy', 'fastapi', 'dbos', 'httpx', 'tensorflow') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

        assert done.stdout.strip() == "[]"

    @pytest.mark.parametrize("command", [c.name or c.callback.__name__ for c in service.cli.app.registered_commands])
    def test_every_command_explains_itself(self, command: str):
        result = run(command, "--help")

        assert result.exit_code == 0
        assert "Usage" in result.output

    def test_defaults_in_brackets_are_shown(self):
        assert "[default: (one a core)]" in run("serve", "--help").output

    def test_the_version_is_told(self):
        assert run("--version").output.startswith("fitcheck ")

    def test_an_unknown_option_is_a_usage_error(self):
        assert run("audit", "--modle", "x").exit_code == 2


class TestServe:
    @pytest.fixture
    def started(self, monkeypatch) -> list[Settings]:
        seen: list[Settings] = []

        def start(settings: Settings) -> int:
            seen.append(settings)
            return 0

        monkeypatch.setattr("service.worker.supervisor.run_serve", start)
        monkeypatch.setattr("service.worker.supervisor.run_worker", start)
        monkeypatch.setattr("service.api.server.run_api", start)
        return seen

    @pytest.mark.parametrize("command", ["serve", "api"])
    def test_options_become_settings(self, started, tmp_path: Path, command: str):
        roots = [tmp_path / "a", tmp_path / "b"]
        options = ["--data-root", str(roots[0]), "--data-root", str(roots[1]), "--database", "sqlite:////tmp/x.db"]
        result = run(command, "--host", "127.0.0.2", "--port", "9", "--state-dir", str(tmp_path), *options)

        assert result.exit_code == 0, result.output
        (settings,) = started
        assert (settings.host, settings.port, settings.database) == ("127.0.0.2", 9, "sqlite:////tmp/x.db")
        assert settings.data_roots == tuple(roots)

    def test_every_option_is_an_environment_variable(self, started, tmp_path: Path):
        env = {
            "FITCHECK_PORT": "9",
            "FITCHECK_DATA_ROOTS": f"{tmp_path}:/",
            "FITCHECK_SLOTS": "3",
            "FITCHECK_GPU_SLOTS": "2",
            "FITCHECK_LOG_LEVEL": "error",
            "FITCHECK_STATE_DIR": str(tmp_path),
        }
        assert run("worker", env=env).exit_code == 0

        (settings,) = started
        assert settings.data_roots == (tmp_path, Path("/"))
        assert (settings.port, settings.slots, settings.gpu_slots, settings.log_level) == (9, 3, 2, "error")

    def test_without_options_the_defaults_hold(self, started):
        run("serve")

        assert started == [Settings()]

    def test_an_option_wins_over_the_environment(self, started):
        run("serve", "--port", "7", env={"FITCHECK_PORT": "9"})

        assert started[0].port == 7

    @pytest.mark.parametrize("command", ["serve", "api"])
    def test_other_hosts_are_refused_without_keys(self, started, command: str):
        result = run(command, "--host", "0.0.0.0")

        assert result.exit_code == 2
        assert "FITCHECK_API_KEYS" in result.stderr
        assert not started

    def test_other_hosts_are_served_with_keys(self, started):
        assert run("serve", "--host", "0.0.0.0", env={"FITCHECK_API_KEYS": "k"}).exit_code == 0

    def test_an_invalid_setting_is_named(self, started):
        result = run("serve", env={"FITCHECK_LEASE_SECONDS": "soon", "FITCHECK_DATABASE": "mysql://x"})

        assert result.exit_code == 2
        assert "FITCHECK_LEASE_SECONDS" in result.stderr
        assert "FITCHECK_DATABASE" in result.stderr

    def test_the_status_of_the_supervisor_is_the_exit_code(self, monkeypatch):
        monkeypatch.setattr("service.worker.supervisor.run_worker", lambda settings: 7)

        assert run("worker").exit_code == 7


class TestAudit:
    @pytest.fixture
    def engine(self, monkeypatch):
        """Stands for the evaluation: tests set the report or the exception that it ends with."""

        class Engine:
            outcome: object = whole_report("pass")
            request = safety = None

            def __call__(self, request, roots, settings, progress):
                self.request, self.safety = request, (settings.sandbox, settings.allowed_ops)
                for fraction in (0.5, 0.6):
                    progress(Progress(fraction=fraction, stage="checking", detail="metrics"))
                if isinstance(self.outcome, BaseException):
                    raise self.outcome
                return self.outcome

        engine = Engine()
        monkeypatch.setattr("service.cli.auditing.evaluate", engine)
        return engine

    def test_models_are_locked_in_as_the_settings_say(self, engine, monkeypatch):
        monkeypatch.setenv("FITCHECK_SANDBOX", "require")
        monkeypatch.setenv("FITCHECK_ALLOWED_OPS", "EncodePng, ReadFile")
        get_settings.cache_clear()
        run("audit", *REQUEST)
        get_settings.cache_clear()

        assert engine.safety == ("require", frozenset({"EncodePng", "ReadFile"}))

    def test_a_required_sandbox_that_is_missing_is_said(self, engine):
        engine.outcome = IsolationUnavailable(Isolation(level="weak", missing=["landlock"]))
        result = run("audit", *REQUEST)

        assert result.exit_code == 3
        assert "FITCHECK_SANDBOX" in result.stderr.replace("\n", " ")

    def test_the_summary_goes_to_stdout_and_the_progress_to_stderr(self, engine):
        result = run("audit", *REQUEST)

        assert "Confirmed balanced accuracy" in result.stdout
        assert result.stderr.count("checking") == 1
        assert "checking" not in result.stdout

    def test_json_is_all_there_is_on_stdout(self, engine):
        assert json.loads(run("audit", *REQUEST, "--json").stdout) == whole_report("pass").model_dump(mode="json")

    def test_the_report_is_written_to_a_file(self, engine, tmp_path: Path):
        file = tmp_path / "report.json"
        run("audit", *REQUEST, "--output", str(file))

        assert json.loads(file.read_text())["verdict"] == "pass"

    def test_the_report_is_written_as_a_page(self, engine, tmp_path: Path):
        file = tmp_path / "report.html"
        result = run("audit", *REQUEST, "--html", str(file))

        assert result.exit_code == 0
        assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
        assert "Confirmed balanced accuracy" in result.stdout

    @pytest.mark.parametrize(("name", "beginning"), [("rows.csv", b"split,row"), ("ROWS.PARQUET", b"PAR1")])
    def test_the_rows_that_findings_name_are_written(self, engine, tmp_path: Path, name, beginning):
        """In the form that the name of the file asks for, beside what is printed."""
        result = run("audit", *REQUEST, "--rows", str(tmp_path / name))

        assert result.exit_code == 0, result.stderr
        assert (tmp_path / name).read_bytes().startswith(beginning)
        assert "Confirmed balanced accuracy" in result.stdout

    def test_rows_in_no_known_form_are_refused_before_the_audit(self, engine, tmp_path: Path):
        result = run("audit", *REQUEST, "--rows", str(tmp_path / "rows.xlsx"))

        assert result.exit_code == 2
        assert ".parquet" in result.stderr
        assert engine.request is None

    def test_a_file_that_cannot_be_written_is_named(self, engine, tmp_path: Path):
        result = run("audit", *REQUEST, "--html", str(tmp_path / "nowhere" / "report.html"))

        assert result.exit_code == 2
        assert "cannot be written" in result.stderr

    @pytest.mark.parametrize(
        ("verdict", "fail_on", "code"),
        [
            ("pass", "warning", 0),
            ("inconclusive", "warning", 0),
            ("warn", "critical", 0),
            ("warn", "warning", 1),
            ("fail", "critical", 1),
            ("fail", "warning", 1),
            ("fail", "never", 0),
        ],
    )
    def test_the_exit_code_follows_the_verdict_and_the_gate(self, engine, verdict, fail_on, code):
        engine.outcome = whole_report(verdict)

        assert run("audit", *REQUEST, "--fail-on", fail_on).exit_code == code

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (DataError("label_missing", "No column 'y'.", column="y"), 2),
            (EvaluatorError("evaluator_killed", "Out of memory."), 3),
            (RuntimeError("a bug"), 3),
            (KeyboardInterrupt(), 130),
        ],
        ids=["bad-input", "failed", "bug", "ctrl-c"],
    )
    def test_the_exit_code_tells_bad_input_from_failure(self, engine, error, code):
        engine.outcome = error
        result = run("audit", *REQUEST)

        assert result.exit_code == code
        assert str(error) in result.stderr
        assert result.stdout == ""

    def test_without_tensorflow_it_says_what_to_install(self, engine, monkeypatch):
        monkeypatch.setattr("service.cli.auditing.find_spec", lambda name: None)
        result = run("audit", *REQUEST)

        assert result.exit_code == 3
        assert "fitcheck[cpu]" in result.stderr
        assert engine.request is None

    def test_invalid_options_are_listed(self, engine):
        result = run("audit", "--model", "m")

        assert result.exit_code == 2
        assert "data: This field is required." in result.stderr
        assert engine.request is None


class TestSubmit:
    def test_the_job_is_shown(self, online, jobs):
        result = run("submit", *REQUEST, "--tag", "team:a")

        assert result.exit_code == 0
        assert "audit-0001  queued" in result.stdout
        assert jobs.requests["audit-0001"].tags["team"] == "a"

    def test_as_json(self, online):
        assert json.loads(run("submit", *REQUEST, "--json").stdout)["status"] == "queued"

    def test_the_next_step_is_told(self, online, jobs):
        result = run("submit", *REQUEST, "--url", "http://here:1/")
        audit_id = jobs.stored[-1].job.id

        assert f"fitcheck watch {audit_id}" in result.stderr
        assert f"http://here:1/audits/{audit_id}" in result.stderr

    @pytest.mark.parametrize("option", ["--output", "--html"])
    def test_a_report_that_nobody_waits_for_is_not_written(self, online, jobs, tmp_path: Path, option: str):
        result = run("submit", *REQUEST, option, str(tmp_path / "report"))

        assert result.exit_code == 2
        assert "add --wait" in result.stderr
        assert not jobs.stored

    def test_the_idempotency_key_is_sent(self, online, jobs):
        for _ in range(2):
            run("submit", *REQUEST, "--idempotency-key", "k")

        assert len(jobs.stored) == 1

    def test_address_and_key_come_from_the_environment(self, online):
        run("list", env={"FITCHECK_URL": "http://other.test", "FITCHECK_API_KEY": "k"})

        assert online == [("http://other.test", "k")]

    def test_waiting_ends_with_the_report_and_its_exit_code(self, online, jobs):
        def work() -> None:
            while not jobs.stored:
                time.sleep(0.001)
            jobs.start("audit-0001")
            report = whole_report("fail")
            jobs.succeed("audit-0001", "fail", **{n: getattr(report, n) for n in ("summary", "diagnosis", "findings")})

        worker = threading.Thread(target=work)
        worker.start()
        result = run("submit", *REQUEST, "--wait")
        worker.join()

        assert result.exit_code == 1
        assert "The validation data were never standardised." in result.stdout
        assert "audit audit-0001" in result.stderr

    @pytest.mark.parametrize("ending", ["fail", "cancel"])
    def test_waiting_for_what_never_succeeds_ends_with_3(self, online, jobs, monkeypatch, ending: str):
        submit = jobs.submit

        def and_end(request, **options):
            job, is_new = submit(request, **options)
            if ending == "fail":
                jobs.fail(job.id, Problem(title="Killed", code="evaluator_killed", detail="Out of memory."))
            else:
                jobs.cancel(job.id, caller="anonymous")
            return job, is_new

        monkeypatch.setattr(jobs, "submit", and_end)
        result = run("submit", *REQUEST, "--wait")

        assert result.exit_code == 3
        assert ("Out of memory" if ending == "fail" else "cancelled") in result.stderr

    def test_waiting_outlives_a_database_that_is_away_for_a_moment(self, online, jobs, monkeypatch):
        audit_id = submitted(jobs)
        jobs.succeed(audit_id)
        get = jobs.get
        answers = iter([DatabaseUnavailable(), DatabaseUnavailable()])

        def flaky(audit_id, *, caller):
            for error in answers:
                raise error
            return get(audit_id, caller=caller)

        monkeypatch.setattr(jobs, "get", flaky)
        with service.cli._client("http://x", None) as client:
            assert client.wait(audit_id, lambda _: None).verdict == "pass"

    def test_a_refused_request_ends_with_2_and_says_where(self, online):
        result = run("submit", *REQUEST, "--label", "nonsense")

        assert result.exit_code == 2
        assert "data.label" in result.stderr


class TestReading:
    def test_status(self, online, jobs):
        audit_id = submitted(jobs)
        jobs.start(audit_id)
        result = run("status", audit_id)

        assert "running" in result.stdout
        assert "50% checking metrics" in result.stdout

    def test_status_of_a_failed_audit_says_why(self, online, jobs):
        audit_id = submitted(jobs)
        jobs.fail(audit_id, Problem(title="t", code="label_missing", detail="No column 'y'.", column="y"))

        assert "No column 'y'." in run("status", audit_id).stdout

    def test_report(self, online, jobs):
        audit_id = submitted(jobs)
        jobs.succeed(audit_id, "fail", summary="All wrong.")

        assert run("report", audit_id).exit_code == 0
        assert "All wrong." in run("report", audit_id).stdout
        assert run("report", audit_id, "--fail-on", "critical").exit_code == 1
        assert json.loads(run("report", audit_id, "--json").stdout)["summary"] == "All wrong."

    @pytest.mark.parametrize(
        ("form", "beginning"),
        [
            ("html", "<!doctype"),
            ("markdown", "## "),
            ("junit", "<?xml"),
            ("sarif", "{"),
            ("csv", "split,"),
            ("model-card", "---"),
            ("parquet", "PAR1"),
            ("json", "{"),
        ],
    )
    def test_a_report_for_another_tool(self, online, jobs, tmp_path: Path, form, beginning):
        """It is printed, or written to the file in place of the terminal."""
        audit_id = submitted(jobs)
        jobs.succeed(audit_id)
        file = tmp_path / "report"

        assert run("report", audit_id, "--format", form).stdout_bytes.startswith(beginning.encode())
        assert run("report", audit_id, "--format", form, "--output", str(file)).stdout == ""
        assert file.read_bytes().startswith(beginning.encode())

    def test_a_table_is_nothing_for_a_terminal(self, online, jobs, monkeypatch):
        audit_id = submitted(jobs)
        jobs.succeed(audit_id)
        monkeypatch.setattr("service.cli.writing.on_terminal", lambda: True)
        result = run("report", audit_id, "--format", "parquet")

        assert (result.exit_code, result.stdout_bytes) == (2, b"")
        assert "--output" in result.stderr
        assert run("report", audit_id, "--format", "csv").exit_code == 0

    def test_a_report_as_a_page(self, online, jobs, tmp_path: Path):
        audit_id = submitted(jobs)
        jobs.succeed(audit_id)
        result = run("report", audit_id, "--html", str(tmp_path / "report.html"))

        assert f"Written: {tmp_path}/report.html" in result.stderr
        assert "</html>" in (tmp_path / "report.html").read_text(encoding="utf-8")

    def test_a_report_that_is_not_there(self, online, jobs):
        result = run("report", submitted(jobs))

        assert result.exit_code == 2
        assert "it waits in the queue" in result.stderr

    @pytest.mark.parametrize("audit_id", ["audit-9999", "a b", "%2e", "audit-0001?x=1"])
    def test_an_unknown_audit(self, online, jobs, audit_id: str):
        submitted(jobs)
        result = run("status", audit_id)

        assert result.exit_code == 2
        assert "no audit" in result.stderr
        assert "List yours: `fitcheck list`." in result.stderr
        assert "/v1/" not in result.stderr

    def test_cancel(self, online, jobs):
        assert "cancelled" in run("cancel", submitted(jobs)).stdout

    def test_list_follows_pages_up_to_its_limit(self, online, jobs, monkeypatch):
        monkeypatch.setattr("service.client.calls.PAGE_ITEMS", 2)
        for _ in range(5):
            submitted(jobs)

        assert run("list", "--limit", "3").stdout.count("audit-000") == 3
        assert len(json.loads(run("list", "--json").stdout)) == 5

    def test_list_filters(self, online, jobs):
        first, second = submitted(jobs), submitted(jobs)
        jobs.succeed(first, "fail")

        assert first in run("list", "--verdict", "fail", "--status", "succeeded").stdout
        assert second not in run("list", "--verdict", "fail").stdout
        assert run("list", "--status", "nonsense").exit_code == 2

    def test_an_empty_list_says_so(self, online):
        assert run("list").stdout.strip() == "No audits."


class TestServiceTrouble:
    def test_a_service_that_is_not_there(self):
        result = run("list", "--url", "http://127.0.0.1:9")

        assert result.exit_code == 3
        assert "http://127.0.0.1:9" in result.stderr
        assert "fitcheck serve" in result.stderr

    def test_an_address_that_is_none(self):
        assert run("list", "--url", "nonsense").exit_code == 3

    def test_a_service_that_fails(self, online, jobs):
        jobs.broken = DatabaseUnavailable()
        result = run("list")

        assert result.exit_code == 3
        assert "database" in result.stderr

    def test_a_service_that_is_another(self, monkeypatch):
        transport = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
        monkeypatch.setattr(service.cli, "_client", lambda url, key: Client("http://x", key, transport))
        result = run("list")

        assert result.exit_code == 3
        assert "is this a fitcheck service" in result.stderr


class TestCatalogue:
    def test_all_findings_one_a_line(self):
        lines = run("catalogue").stdout.splitlines()

        assert any(line.startswith("preprocessing.scaling_mismatch") for line in lines)

    def test_one_finding(self):
        assert "What it measures" in run("catalogue", "metrics.weak_model").stdout

    def test_json(self):
        assert json.loads(run("catalogue", "metrics.weak_model", "--json").stdout)["family"] == "metrics"
        assert len(json.loads(run("catalogue", "--json").stdout)) > 10

    def test_an_unknown_finding(self):
        result = run("catalogue", "metrics.nonsense")

        assert result.exit_code == 2
        assert "metrics.nonsense" in result.stderr
        assert "`fitcheck catalogue` lists all of them." in result.stderr

    @pytest.mark.parametrize("code", ["scaling_mismatch", "preprocessing.scaling_mismach", "metrics.scaling_mismatch"])
    def test_the_closest_finding_is_named(self, code: str):
        assert "Did you mean 'preprocessing.scaling_mismatch'?" in run("catalogue", code).stderr


@pytest.mark.tensorflow
def test_an_audit_from_the_options_to_the_exit_code(tmp_path: Path):
    """The whole command in a process of its own: the engine, the model, TensorFlow and the cages are the real ones."""
    report = tmp_path / "report.json"
    data = ("--train", EXAMPLE / "train.csv", "--validation", EXAMPLE / "validation.csv", "--label", "benign")
    command = [sys.executable, "-m", "service", "audit", "--model", EXAMPLE / "model", *data, "--output", report]
    environment = {**os.environ, "FITCHECK_LOG_LEVEL": "debug"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=170, cwd=tmp_path, env=environment
    )
    written = json.loads(report.read_text()) if report.exists() else {}
    (evaluator,) = [line for line in done.stderr.splitlines() if "evaluator_isolated" in line] or [done.stderr]

    assert done.returncode == 1, done.stderr
    assert "FAIL" in done.stdout
    assert written["diagnosis"][0]["code"] == "preprocessing.scaling_mismatch"
    assert written["environment"]["isolation"]["level"] == probe().level
    assert f"'level': '{probe().level}'" in evaluator
