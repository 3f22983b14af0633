"""Slots that die, or are taken for dead: nothing is lost, nothing is reported twice."""

import os
import signal
import time

import psycopg
import pytest
import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.exc import OperationalError

from service.jobs import leases
from service.jobs.errors import DatabaseUnavailable
from service.jobs.heartbeat import Health
from service.jobs.names import MAX_DEATHS
from service.jobs.tables import report
from tests.service.conftest import POSTGRES
from tests.service.slot_process import FENCED

from .conftest import Journal, Slots, User


def test_a_killed_slots_audit_is_finished_by_another(
    user: User, engine: sa.Engine, slots: Slots, journal: Journal
) -> None:
    """The lease runs out, another slot takes over: two starts, one report, in the second attempt."""
    slots.start()
    slots.start()
    job = user.submit("sleep:1")
    user.wait(job, "running")
    slots.of(journal.first_pid(job.id)).kill()

    done = user.wait(job)

    assert (done.status, done.attempt) == ("succeeded", 2)
    assert journal.starts(job.id) == 2
    with engine.connect() as connection:
        query = sa.select(sa.func.count()).where(report.c.audit_id == job.id)
        assert connection.execute(query).scalar_one() == 1


def pause(pid: int, engine: sa.Engine) -> None:
    """Stop a process, but not within a write: on SQLite nobody else could write before it goes on."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            with engine.begin() as connection:
                if engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA busy_timeout=200")
                leases.release(connection, "nobody")
        except OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
        else:
            return


def test_a_paused_slot_loses_its_audit_for_good(user: User, engine: sa.Engine, slots: Slots, journal: Journal) -> None:
    """A slot that was asleep for longer than its lease ends when it wakes, and cannot change the outcome."""
    slots.start()
    slots.start()
    job = user.submit("sleep:1")
    user.wait(job, "running")
    zombie = slots.of(journal.first_pid(job.id))
    pause(zombie.pid or 0, engine)

    done = user.wait(job)
    os.kill(zombie.pid or 0, signal.SIGCONT)

    zombie.join(timeout=10)
    assert zombie.exitcode == FENCED
    assert done.attempt == 2
    assert user.get(job) == done
    assert user.jobs.report(job.id, caller=user.name).summary != str(zombie.pid)


def test_an_audit_that_kills_its_slots_is_given_up(
    user: User, engine: sa.Engine, slots: Slots, journal: Journal
) -> None:
    """After three deaths it has failed, says so, and what waits behind it goes on."""
    poison = user.submit("die")
    follower = user.submit()
    while (failed := user.get(poison)).status != "failed":
        if not any(slot.is_alive() for slot in slots.running):
            # What the supervisor does.
            with engine.begin() as connection:
                leases.release_dead_here(connection)
            assert len(slots.running) < 5
            slots.start()
        time.sleep(0.05)
    user.wait(follower, "succeeded")

    assert failed.error is not None
    assert failed.error.code == "worker_lost"
    assert (failed.attempt, journal.starts(poison.id)) == (3, 3)
    assert failed.finished_at is not None


def test_stops_of_the_service_do_not_count_as_deaths(user: User, slots: Slots, journal: Journal) -> None:
    """An audit that more deployments interrupt than deaths are allowed is finished all the same."""
    job = user.submit("sleep:2.5")
    for stops in range(MAX_DEATHS):
        slot = slots.start()
        while journal.starts(job.id) <= stops:
            time.sleep(0.02)
        slot.terminate()
        slot.join(timeout=20)
        assert slot.exitcode == 0
    slots.start()

    done = user.wait(job)

    assert (done.status, done.attempt) == ("succeeded", MAX_DEATHS + 1)


def without_private_call() -> None:
    del DBOS._recover_pending_workflows


def test_recovery_works_by_public_calls_too(user: User, slots: Slots, journal: Journal) -> None:
    """A release of the engine without its private call finishes the audit as well, and still counts its starts."""
    for _ in range(2):
        slots.start(before=without_private_call)
    job = user.submit("sleep:1")
    slots.of(journal.first_pid(job.id)).kill()

    done = user.wait(job)

    assert (done.status, done.attempt) == ("succeeded", 2)


# A file is never away.
@pytest.mark.parametrize("service_settings", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_an_outage_of_the_database_restarts_nothing(
    user: User, engine: sa.Engine, slots: Slots, journal: Journal
) -> None:
    """Longer than a lease: both slots find every lease overdue, and neither judges the other."""
    slots.start()
    slots.start()
    audits = [user.submit("sleep:1.5"), user.submit("sleep:1.5")]
    for job in audits:
        user.wait(job, "running")
    name = engine.url.database
    with psycopg.connect(POSTGRES, autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            with pytest.raises(DatabaseUnavailable):
                user.get(audits[0])
            time.sleep(2.5)
        finally:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    for job in audits:
        done = user.wait(job)
        assert (done.status, done.attempt) == ("succeeded", 1)
    assert [slot.exitcode for slot in slots.running] == [None, None]


def test_the_dead_of_this_machine_are_known_at_once(engine: sa.Engine) -> None:
    """A process that is gone, or whose number another one has, is dead; this one and those elsewhere are not."""
    me = leases.this_process()
    processes = {
        "me": me,
        "gone": leases.Process(me.place, 2**22 + 1, 1),
        "another with my number": leases.Process(me.place, me.pid, me.started - 1),
        "elsewhere": leases.Process("another boot", 2**22 + 1, 1),
    }
    with engine.begin() as connection:
        leases.release_dead_here(connection)
        for name, process in processes.items():
            leases.register(connection, name, "cpu", process)

        assert leases.release_dead_here(connection) == 2
        assert leases.count_live(connection, lease_seconds=10) == 2
        assert leases.beat(connection, "me")
        assert not leases.beat(connection, "gone")
        for name in ("me", "elsewhere"):
            leases.release(connection, name)


def test_a_zombie_process_is_dead() -> None:
    """One that ended, but was not waited for, runs no more."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert leases.started_at(pid) is None
    os.waitpid(pid, 0)
    assert leases.started_at(os.getpid()) is not None


def test_nobody_is_judged_before_a_lease_of_good_health() -> None:
    """After a start, an outage or a sleep, a slot waits a whole lease: the others may have been cut off too."""
    now = [100.0]
    health = Health(10, clock=lambda: now[0])

    def beats(count: int) -> bool:
        for _ in range(count):
            now[0] += 2
            health.succeeded()
        return health.may_judge()

    assert not beats(5)
    assert beats(1)
    health.failed()
    assert not beats(5)
    assert beats(1)
    now[0] += 6
    assert not beats(1)
