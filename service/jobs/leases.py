"""The leases of worker slots: who is alive, and whose work is to be taken over.

The engine recovers the work of a dead worker when told so, but does not notice a death. A slot inserts its lease
before it can claim anything, renews it, and is dead from the moment that `reaped_at` is set: its outcome would be
refused, and it ends itself when it finds out.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from service.jobs import claims, tallies
from service.jobs.names import APPLICATION
from service.jobs.tables import DAY_MS, lease, now_ms, workflow

KEEP_DAYS = 7


@dataclass(frozen=True)
class Process:
    """A process, named so that another process can tell whether it still lives.

    Attributes:
        place: the boot of the kernel and the process namespace in which `pid` counts.
        started: in clock ticks since boot; tells it from a later process of the same number.
    """

    place: str
    pid: int
    started: int


def this_process() -> Process:
    return Process(here(), os.getpid(), started_at(os.getpid()) or 0)


def here() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def started_at(pid: int) -> int | None:
    """When the process was started, None where it does not run (any more)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in brackets, may hold anything; the fields behind it do not.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def register(connection: sa.Connection, executor: str, queue: str, process: Process) -> None:
    """Begin to live. Must be committed before anything is claimed."""
    connection.execute(
        sa.insert(lease).values(
            executor=executor,
            queue=queue,
            place=process.place,
            pid=process.pid,
            pid_started=process.started,
            started_at=now_ms(),
            beat_at=now_ms(),
        )
    )


def beat(connection: sa.Connection, executor: str) -> bool:
    """Renew the lease. False: it was declared dead, and must end without another write."""
    return _update_live(connection, lease.c.executor == executor, beat_at=now_ms()) == 1


def release(connection: sa.Connection, executor: str) -> bool:
    """Declare a slot dead that is known to be: its work is taken over at once. False: it was declared dead before."""
    return _update_live(connection, lease.c.executor == executor, reaped_at=now_ms()) == 1


def stop(connection: sa.Connection, executor: str) -> None:
    """Give back the lease of a slot that was told to stop: what it ran counts as handed over, not as its death."""
    if release(connection, executor):
        claims.hand_over(connection, executor)


def release_dead_here(connection: sa.Connection) -> int:
    """Declare those dead whose processes on this machine are gone, as after a crash of all of them."""
    mine = sa.select(lease).where(lease.c.reaped_at.is_(None), lease.c.place == here())
    dead = [row.executor for row in connection.execute(mine) if started_at(row.pid) != row.pid_started]
    return _update_live(connection, lease.c.executor.in_(dead), reaped_at=now_ms())


def reap_overdue(connection: sa.Connection, lease_seconds: float) -> int:
    """Declare those dead that were not heard of for a lease, and forget the long dead."""
    old = lease.c.reaped_at < now_ms() - KEEP_DAYS * DAY_MS
    connection.execute(sa.delete(lease).where(old))
    overdue = sa.update(lease).where(lease.c.reaped_at.is_(None), lease.c.beat_at < now_ms() - _ms(lease_seconds))
    expired = connection.execute(overdue.values(reaped_at=now_ms()).returning(lease.c.queue)).scalars().all()
    for queue in sorted(expired):
        tallies.add(connection, tallies.EXPIRED, queue)
    return len(expired)


def orphaned(connection: sa.Connection) -> list[str]:
    """The executors that own running work and have no live lease."""
    running = sa.select(workflow.c.executor_id).where(
        workflow.c.status == "PENDING", workflow.c.application_name == APPLICATION
    )
    # In this order: a slot that registers in between owns nothing that was read, and one read is registered.
    owners = set(connection.execute(running.distinct()).scalars())
    if not owners:
        return []
    live = set(connection.execute(sa.select(lease.c.executor).where(lease.c.reaped_at.is_(None))).scalars())
    return sorted(owner for owner in owners - live if owner is not None)


def live(lease_seconds: float) -> sa.ColumnElement[bool]:
    """The leases of slots that live and were heard of within a lease."""
    return sa.and_(lease.c.reaped_at.is_(None), lease.c.beat_at >= now_ms() - _ms(lease_seconds))


def count_live(connection: sa.Connection, lease_seconds: float, queue: str | None = None) -> int:
    """How many slots live and were heard of within a lease."""
    query = sa.select(sa.func.count()).where(live(lease_seconds))
    if queue is not None:
        query = query.where(lease.c.queue == queue)
    return connection.execute(query).scalar_one()


def _update_live(connection: sa.Connection, which: sa.ColumnElement[bool], **values: now_ms) -> int:
    return connection.execute(sa.update(lease).where(lease.c.reaped_at.is_(None), which).values(**values)).rowcount


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
