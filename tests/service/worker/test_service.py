"""The whole service, killed in all the ways there are."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from schemas.job import Job
from service.jobs.client import DatabaseJobs, open_jobs
from service.jobs.tables import lease, report
from service.settings import Settings
from service.worker import supervisor
from tests.service.api.receiver import receiver
from tests.service.conftest import make_request

from .conftest import ROOT, is_alive, pids, wait_until


class Service:
    """A service in a process group of its own, as `fitcheck worker` starts it."""

    def __init__(
        self, settings: Settings, command: str = "run_worker", evaluator: str = "tests.service.evaluators"
    ) -> None:
        code = (
            f"from service.worker.supervisor import {command}\n"
            "from service.settings import get_settings\n"
            f"raise SystemExit({command}(get_settings(), evaluator='{evaluator}'))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **settings.environment(), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            start_new_session=True,
        )

    def processes(self) -> list[int]:
        """The supervisor and its children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def kill_all(self) -> None:
        """As a crash of the machine would: nobody gets to say a word."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise


@pytest.fixture
def service(service_settings: Settings, jobs: DatabaseJobs) -> Iterator[Service]:
    started = Service(service_settings)
    wait_until(lambda: jobs.workers() > 0, seconds=60)
    yield started
    started.stop()


def submit(jobs: DatabaseJobs, caller: str, model: str, journal: Path) -> Job:
    return jobs.submit(make_request(model, tags={"journal": str(journal)}), caller=caller)[0]


def finish(jobs: DatabaseJobs, job: Job, caller: str) -> Job:
    wait_until(lambda: jobs.get(job.id, caller=caller).finished_at is not None, seconds=40)
    return jobs.get(job.id, caller=caller)


def slot_of(engine: sa.Engine) -> int:
    """The process of the slot that lives."""
    with engine.connect() as connection:
        return connection.execute(sa.select(lease.c.pid).where(lease.c.reaped_at.is_(None))).scalar_one()


def test_a_life_of_crashes(
    service: Service,
    service_settings: Settings,
    jobs: DatabaseJobs,
    engine: sa.Engine,
    caller: str,
    journal: Path,
) -> None:
    """One service through everything that may happen to it, for each start of one takes seconds.

    1. A warm service is quick. 2. Native code crashes: that audit fails, the next does not. 3. A running audit is
    cancelled: its process is gone. 4. Its slot is killed: the audit is finished once, with one report, and the
    evaluator of the dead slot is gone. 5. Everything is killed: what ran and what waited is finished by the next
    service. 6. That one stops when told, and leaves nothing behind.
    """
    begun = time.monotonic()
    assert finish(jobs, submit(jobs, caller, "quick", journal), caller).status == "succeeded"
    assert time.monotonic() - begun < 3

    crashed = finish(jobs, submit(jobs, caller, "segfault", journal), caller)
    assert crashed.error is not None
    assert crashed.error.code == "evaluator_crashed"
    assert "SIGSEGV" in crashed.error.detail
    assert finish(jobs, submit(jobs, caller, "quick", journal), caller).status == "succeeded"

    journal.unlink()
    running = submit(jobs, caller, "sleep:60", journal)
    wait_until(lambda: len(pids(journal)) == 1)
    jobs.cancel(running.id, caller=caller)
    wait_until(lambda: not is_alive(pids(journal)[0]), seconds=2)
    assert jobs.get(running.id, caller=caller).status == "cancelled"

    journal.unlink()
    running = submit(jobs, caller, "sleep:1.5", journal)
    wait_until(lambda: len(pids(journal)) == 1)
    os.kill(slot_of(engine), signal.SIGKILL)
    wait_until(lambda: not is_alive(pids(journal)[0]), seconds=2)
    done = finish(jobs, running, caller)
    assert (done.status, done.attempt) == ("succeeded", 2)
    assert reports_of(engine, done) == 1

    journal.unlink()
    running, waiting, another = (submit(jobs, caller, "sleep:1", journal) for _ in range(3))
    wait_until(lambda: len(pids(journal)) == 1)
    processes = service.processes()
    service.kill_all()
    wait_until(lambda: not any(map(is_alive, [*processes, *pids(journal)])), seconds=2)
    heir = Service(service_settings)
    try:
        for job, attempts in ((running, 2), (waiting, 1), (another, 1)):
            done = finish(jobs, job, caller)
            assert (done.status, done.attempt, reports_of(engine, done)) == ("succeeded", attempts, 1)
        processes = heir.processes()
    finally:
        heir.stop()

    assert heir.process.returncode == 0
    assert not any(map(is_alive, processes))
    assert jobs.workers() == 0
    assert [path.name for path in (service_settings.state_dir / "run").iterdir()] == ["lock"]


def test_a_used_up_fork_server_keeps_nobody_waiting(
    service_settings: Settings, jobs: DatabaseJobs, caller: str, journal: Path
) -> None:
    """Its successor evaluates for the other slots while its last audit still runs; both end with the service."""
    service = Service(service_settings.model_copy(update={"slots": 2, "recycle_after": 1}))
    try:
        long = submit(jobs, caller, "sleep:60", journal)
        wait_until(lambda: len(pids(journal)) == 1, seconds=60)
        for _ in range(2):
            assert finish(jobs, submit(jobs, caller, "quick", journal), caller).status == "succeeded"
        job = jobs.get(long.id, caller=caller)
        assert (job.status, job.attempt) == ("running", 1)
        evaluator = pids(journal)[0]
        assert is_alive(evaluator)
        processes = [*service.processes(), evaluator]
    finally:
        service.stop()
        jobs.cancel(long.id, caller=caller)
    assert not any(map(is_alive, processes))


def reports_of(engine: sa.Engine, job: Job) -> int:
    with engine.connect() as connection:
        query = sa.select(sa.func.count()).where(report.c.audit_id == job.id)
        return connection.execute(query).scalar_one()


def test_serve_answers_and_evaluates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command: the API answers, the worker evaluates; both end together. A taken port ends it at once."""
    settings = Settings(state_dir=tmp_path, data_roots=(tmp_path,), slots=1, port=free_port(), shutdown_seconds=1)
    address = f"http://127.0.0.1:{settings.port}"
    service = Service(settings, "run_serve")
    try:
        wait_until(lambda: answers(f"{address}/readyz"), seconds=60)
        monkeypatch.setattr(supervisor, "configure_logging", lambda _: None)
        assert supervisor.run_serve(settings) == 3
        opened = open_jobs(settings)
        done = finish(opened, submit(opened, "me", "quick", tmp_path / "journal"), "me")
        opened.close()
        assert done.status == "succeeded"
        processes = service.processes()
        assert len(processes) == 4
    finally:
        service.stop()
    assert service.process.returncode == 0
    assert not any(map(is_alive, processes))


def test_an_audit_is_followed_and_its_end_is_told(tmp_path: Path) -> None:
    """Over real connections: a stream from the queue to the end, one that a stop ends at once, and a signed webhook."""
    model = ROOT / "examples" / "wrong_scaling" / "model"
    with receiver() as hook:
        settings = Settings(
            state_dir=tmp_path,
            data_roots=(ROOT / "examples",),
            slots=1,
            port=free_port(),
            shutdown_seconds=20,
            callback_hosts=("127.0.0.1",),
            callback_secrets=("whsec_" + "QUJD" * 10,),
        )
        url = f"http://127.0.0.1:{settings.port}"
        service = Service(settings, "run_serve", evaluator="benchmarks.soak.sleeping")
        try:
            wait_until(lambda: answers(f"{url}/readyz"), seconds=60)
            body = {
                **json.loads((model.parent / "request.json").read_text()),
                "tags": {"seconds": "1", "number": "7"},
                "callback": {"url": f"{hook.url}/hook"},
            }
            for name in ("model", "data"):
                body[name] = json.loads(json.dumps(body[name]).replace('"uri": "', f'"uri": "{model.parent}/'))
            job = httpx.post(f"{url}/v1/audits", json=body).raise_for_status().json()
            with httpx.stream("GET", url + job["links"]["events"], timeout=30) as stream:
                told = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
            assert told[-1]["status"] == "succeeded"
            assert {event["progress"]["stage"] for event in told} >= {"opening", "collecting", "checking", "done"}
            wait_until(lambda: bool(hook.received), seconds=20)
            assert json.loads(hook.received[0].body)["data"]["id"] == job["id"]
            text = httpx.get(f"{url}/metrics").text
            assert 'fitcheck_audits_total{status="succeeded"} 1.0' in text

            waits = httpx.post(f"{url}/v1/audits", json={**body, "resources": {"device": "gpu"}}).json()
            with httpx.stream("GET", url + waits["links"]["events"], timeout=30) as stream:
                lines = stream.iter_lines()
                next(lines)
                began = time.monotonic()
                service.process.terminate()
                list(lines)
            assert time.monotonic() - began < 10
        finally:
            service.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
