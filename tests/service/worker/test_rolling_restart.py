"""Several API processes and workers on one database, all replaced one by one while callers submit."""

import itertools
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from service.jobs.client import open_jobs
from service.jobs.database import connect
from service.jobs.states import ACTIVE
from service.jobs.tables import audit, report, workflow
from service.settings import Settings
from tests.service.conftest import make_request

from .conftest import ROOT, is_alive, wait_until
from .test_service import Service, answers, free_port

APIS, WORKERS = 2, 4
SUBMIT_SECONDS = 0.1
API = """
import uvicorn
from service.api.app import create_app
from service.settings import get_settings
app = create_app()
app.state.preflight = lambda audit: None  # nothing that the requests name exists
uvicorn.run(app, port=get_settings().port, log_level="error")
"""


class Api:
    """An API process on a port that its successor takes over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.model_copy(update={"port": free_port()})
        self.address = f"http://127.0.0.1:{self._settings.port}"
        self.process = self._start()

    def replace(self) -> None:
        self.stop()
        self.process = self._start()
        self.wait()

    def wait(self) -> None:
        wait_until(lambda: answers(f"{self.address}/healthz"), seconds=60)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self._settings.environment(), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, "-c", API], env=environment, cwd=ROOT)


@dataclass
class Callers:
    """Submit at a steady rate, each audit to whichever API answers, until told to stop."""

    addresses: list[str]
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        addresses = itertools.cycle(self.addresses)
        body = make_request("sleep:0.1").model_dump(mode="json")
        with httpx.Client(timeout=10) as client:
            while not self.stopping.wait(SUBMIT_SECONDS):
                self._submit(client, body, addresses)

    def _submit(self, client: httpx.Client, body: object, addresses: Iterator[str]) -> None:
        """Sent again under the same key where an API went away: it may have been accepted."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        for address in itertools.islice(addresses, 50):
            with suppress(httpx.TransportError):
                answer = client.post(f"{address}/v1/audits", json=body, headers=key)
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["id"])
                else:
                    self.refused.append(answer.text)
                return
            time.sleep(0.1)
        self.refused.append("no API answers")


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_replacing_every_process_under_load_loses_nothing(postgres: Callable[[], str], tmp_path: Path) -> None:
    """Each accepted audit has succeeded in the end, with one report; no process is left."""
    settings = Settings(
        database=postgres(),
        state_dir=tmp_path,
        data_roots=(tmp_path,),
        slots=1,
        lease_seconds=5,
        beat_seconds=0.5,
        poll_seconds=0.1,
        shutdown_seconds=5,
    )
    jobs = open_jobs(settings)
    apis = [Api(settings) for _ in range(APIS)]
    workers = [Service(settings) for _ in range(WORKERS)]
    callers = Callers([api.address for api in apis])
    submitting = threading.Thread(target=callers.run)
    try:
        for api in apis:
            api.wait()
        wait_until(lambda: jobs.workers() == WORKERS, seconds=90)
        submitting.start()
        seen = [pid for worker in workers for pid in worker.processes()]
        for place, worker in enumerate(workers):
            worker.stop()
            workers[place] = Service(settings)
            apis[place % APIS].replace()
        callers.stopping.set()
        submitting.join()
        wait_until(lambda: unfinished(settings) == 0, seconds=60)
    finally:
        callers.stopping.set()
        for process in (*workers, *apis):
            process.stop()
        jobs.close()
    assert callers.refused == []
    assert len(callers.accepted) > 30
    assert outcomes(settings) == {"SUCCESS": len(callers.accepted)}
    assert reported(settings) == len(callers.accepted)
    assert not any(map(is_alive, seen))


def unfinished(settings: Settings) -> int:
    return sum(count for status, count in outcomes(settings).items() if status in ACTIVE)


def outcomes(settings: Settings) -> dict[str, int]:
    """Audits by the state that the job engine has them in."""
    query = (
        sa.select(workflow.c.status, sa.func.count())
        .join(audit, audit.c.id == workflow.c.workflow_uuid)
        .group_by(workflow.c.status)
    )
    return dict(_rows(settings, query))  # type: ignore[arg-type]


def reported(settings: Settings) -> int:
    ((count,),) = _rows(settings, sa.select(sa.func.count()).select_from(report))
    return int(count)


def _rows(settings: Settings, query: sa.Select[tuple[object, ...]]) -> list[tuple[object, ...]]:
    engine = connect(settings, pool_size=1)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]
    finally:
        engine.dispose()
