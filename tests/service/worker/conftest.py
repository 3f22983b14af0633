"""Looking at processes that are not children of the test."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.jobs.leases import started_at

ROOT = Path(__file__).parents[3]


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def pids(journal: Path) -> list[int]:
    return [int(line) for line in journal.read_text().split()] if journal.exists() else []


def is_alive(pid: int) -> bool:
    return started_at(pid) is not None


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A file to which evaluators write their process ids."""
    return tmp_path / "journal"
