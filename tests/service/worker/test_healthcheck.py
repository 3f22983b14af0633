from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.jobs import leases
from service.jobs.database import connect, migrate
from service.settings import Settings
from service.worker import healthcheck


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path)


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    engine = connect(settings)
    migrate(settings, engine)
    yield engine
    engine.dispose()


def register(engine: sa.Engine, process: leases.Process) -> None:
    with engine.begin() as connection:
        leases.register(connection, "slot", "cpu", process)


def test_a_slot_that_renews_its_lease_is_healthy(settings: Settings, engine: sa.Engine) -> None:
    register(engine, leases.this_process())

    assert healthcheck.live_slots_here(settings) == 1


def test_a_slot_that_was_declared_dead_is_not(settings: Settings, engine: sa.Engine) -> None:
    register(engine, leases.this_process())
    with engine.begin() as connection:
        leases.release(connection, "slot")

    assert healthcheck.live_slots_here(settings) == 0


def test_a_slot_unheard_of_for_a_lease_is_not(settings: Settings, engine: sa.Engine) -> None:
    register(engine, leases.this_process())
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE lease SET beat_at = beat_at - 31000"))

    assert healthcheck.live_slots_here(settings) == 0


def test_the_slots_of_another_machine_do_not_count(settings: Settings, engine: sa.Engine) -> None:
    register(engine, replace(leases.this_process(), place="another boot/another namespace"))

    assert healthcheck.live_slots_here(settings) == 0


@pytest.mark.parametrize("migrated", [False, True])
def test_no_slots_or_no_database_is_the_exit_code_1(
    migrated: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if migrated:
        engine = connect(settings)
        migrate(settings, engine)
        engine.dispose()
    monkeypatch.setattr(healthcheck, "get_settings", lambda: settings)

    assert healthcheck.main() == 1
