"""Slots to run, kill and stop."""

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import pytest

from schemas.job import Job
from service.jobs.client import DatabaseJobs
from service.settings import Settings
from tests.service import slot_process
from tests.service.conftest import make_request


@dataclass
class Journal:
    """What the evaluators wrote: one line a start."""

    path: Path

    def starts(self, audit_id: str) -> int:
        return len([line for line in self._lines() if line[0] == audit_id])

    def first_pid(self, audit_id: str) -> int:
        """The process that began the audit, as soon as there is one."""
        while audit_id not in self.order():
            time.sleep(0.02)
        return next(int(line[3]) for line in self._lines() if line[0] == audit_id)

    def order(self) -> list[str]:
        return [line[0] for line in self._lines()]

    def _lines(self) -> list[list[str]]:
        return [line.split() for line in self.path.read_text().splitlines()]


class Slots:
    """Slot processes of one test module, none of which outlives it. Forked, for an import takes seconds."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self.running: list[ForkProcess] = []

    def start(self, before: Callable[[], None] = lambda: None) -> ForkProcess:
        """Start a slot; `before` is called in its process first."""

        def run() -> None:
            before()
            slot_process.run(self._settings, f"test:{uuid.uuid4().hex}", self._journal.path)

        process = get_context("fork").Process(target=run)
        process.start()
        self.running.append(process)
        return process

    def of(self, pid: int) -> ForkProcess:
        return next(process for process in self.running if process.pid == pid)

    def stop_all(self) -> None:
        for process in self.running:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.join()
        self.running.clear()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    path = tmp_path_factory.mktemp("journal") / "journal"
    path.touch()
    return Journal(path)


@pytest.fixture(scope="module")
def module_slots(service_settings: Settings, journal: Journal) -> Iterator[Slots]:
    slots = Slots(service_settings, journal)
    yield slots
    slots.stop_all()


@pytest.fixture
def slots(module_slots: Slots) -> Iterator[Slots]:
    """Slots for one test alone."""
    module_slots.stop_all()
    yield module_slots
    module_slots.stop_all()


@pytest.fixture
def slot(module_slots: Slots) -> ForkProcess:
    """One slot, shared by the tests that do it no harm."""
    if not any(process.is_alive() for process in module_slots.running):
        module_slots.start()
    return module_slots.running[-1]


class User:
    """A caller of the job client, with jobs of their own."""

    def __init__(self, jobs: DatabaseJobs, name: str) -> None:
        self.jobs = jobs
        self.name = name

    def submit(self, model: str = "quick", **fields: Any) -> Job:
        """Submit an audit; the model's address says what its evaluation does (see `slot_process`)."""
        return self.jobs.submit(make_request(model, **fields), caller=self.name)[0]

    def get(self, job: Job) -> Job:
        return self.jobs.get(job.id, caller=self.name)

    def cancel(self, job: Job) -> Job:
        return self.jobs.cancel(job.id, caller=self.name)

    def wait(self, job: Job, *statuses: str, seconds: float = 30) -> Job:
        """Wait until the job has one of these states; any final one by default."""
        deadline = time.monotonic() + seconds
        while (seen := self.get(job)).status not in (statuses or ("succeeded", "failed", "cancelled")):
            assert time.monotonic() < deadline, f"still {seen}"
            time.sleep(0.05)
        return seen


@pytest.fixture
def user(jobs: DatabaseJobs, caller: str) -> User:
    return User(jobs, caller)
