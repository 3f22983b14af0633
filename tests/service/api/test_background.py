"""What an API process does beside its requests goes on whatever happens, and ends with the process."""

import asyncio

import pytest

from service.api import background
from service.jobs.callbacks import Delivery
from service.jobs.errors import DatabaseUnavailable
from service.jobs.interface import Pruned
from service.settings import Settings

SIGNED = {"callback_hosts": ("ci.example",), "callback_secrets": ("whsec_" + "QUJD" * 10,)}


class Upkeep:
    """Fails in turn as a database does, and as nothing should."""

    def __init__(self) -> None:
        self.calls = {"prune": 0, "claim": 0}

    def prune(self) -> Pruned:
        self._count("prune")
        return Pruned(jobs=1)

    def claim_callbacks(self, limit: int) -> list[Delivery]:
        self._count("claim")
        return []

    def settle_callback(self, delivery: Delivery, error: str | None, *, is_last: bool) -> None:
        raise AssertionError("nothing was claimed")

    def _count(self, name: str) -> None:
        self.calls[name] += 1
        if self.calls[name] == 1:
            raise DatabaseUnavailable
        if self.calls[name] == 2:
            raise ZeroDivisionError


def calls_of(settings: Settings, *wanted: str) -> tuple[dict[str, int], dict[str, int]]:
    """Calls until each of those wanted came more than three times, and those after the end of the process."""
    upkeep = Upkeep()

    async def run() -> dict[str, int]:
        async with background.background(upkeep, settings):
            async with asyncio.timeout(30):
                while min(upkeep.calls[name] for name in wanted) <= 3:
                    await asyncio.sleep(0.02)
        during = dict(upkeep.calls)
        await asyncio.sleep(0.1)
        return during

    return asyncio.run(run()), upkeep.calls


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PRUNE_SECONDS", 0.02)
    monkeypatch.setattr(background, "LOOK_SECONDS", 0.02)


def test_a_failure_ends_neither() -> None:
    during, after = calls_of(Settings(**SIGNED), "prune", "claim")

    assert after == during


def test_no_webhook_is_looked_for_where_none_is_allowed() -> None:
    during, _ = calls_of(Settings(), "prune")

    assert during["claim"] == 0
