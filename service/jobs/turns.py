"""Who is next: by priority, and among equals each caller in turn.

The engine takes the audit with the lowest number first. Its upper part is the priority of the request; the rest is the
turn: start-time fair queueing (Goyal, Vin and Cheng, 1996, https://doi.org/10.1145/248157.248171) with audits of equal
cost. A caller's next audit comes one turn after the last, but never before the turn that is on now, so that nobody
waits for the backlog of another, and nobody saves up turns by being idle.
"""

from typing import Final

import sqlalchemy as sa

from service.jobs.names import APPLICATION
from service.jobs.tables import insert, turn, workflow

TOP_PRIORITY: Final = 49
# 99 priorities fit into the engine's 31 bits. Beyond the last turn there is none: first come, first served.
TURNS: Final = 20_000_000


def next_place(connection: sa.Connection, queue: str, priority: int, caller: str) -> int:
    """The engine's priority of the caller's next audit."""
    key = {"queue": queue, "priority": priority, "caller": caller}
    own = connection.execute(sa.select(turn.c.next).filter_by(**key)).scalar()
    chosen = max(own or 1, _turn_on(connection, queue, priority))
    statement = insert(connection, turn).values(**key, next=chosen + 1)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_={"next": chosen + 1}))
    return _base(priority) + min(chosen, TURNS - 1)


def forget(connection: sa.Connection) -> None:
    """Begin anew where nothing waits: turns would grow for ever, and so would the callers that are remembered."""
    waiting = sa.select(workflow.c.queue_name).where(_waits())
    connection.execute(sa.delete(turn).where(turn.c.queue.not_in(waiting)))


def _turn_on(connection: sa.Connection, queue: str, priority: int) -> int:
    """The first turn that waits; where none does, the first that nobody has had."""
    base = _base(priority)
    waiting = sa.select(sa.func.min(workflow.c.priority)).where(
        _waits(), workflow.c.queue_name == queue, workflow.c.priority.between(base, base + TURNS - 1)
    )
    first = connection.execute(waiting).scalar()
    if first is not None:
        return int(first) - base
    unused = sa.select(sa.func.max(turn.c.next)).filter_by(queue=queue, priority=priority)
    return connection.execute(unused).scalar() or 1


def _waits() -> sa.ColumnElement[bool]:
    return sa.and_(workflow.c.status == "ENQUEUED", workflow.c.application_name == APPLICATION)


def _base(priority: int) -> int:
    return (TOP_PRIORITY - priority) * TURNS
