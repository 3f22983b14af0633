"""Counters in the database: they hold over all processes, and do not fall when the rows they counted are pruned."""

import bisect
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from service.jobs.tables import insert, tally

STAGE_SECONDS: Final = "stage_seconds"  # by stage, in buckets
PRUNED: Final = "pruned"  # by status: audits that are counted here since their rows are gone
EXPIRED: Final = "lease_expiries"  # by queue
DELIVERIES: Final = "callback_deliveries"  # by result

# Upper bounds of the buckets, in seconds.
BOUNDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
BUCKETS: Final = (*map(str, BOUNDS), "+Inf")


def add(connection: sa.Connection, name: str, label: str, count: int = 1) -> None:
    """Count."""
    _add(connection, name, label, "", count, 0.0)


def observe(connection: sa.Connection, name: str, label: str, seconds: float) -> None:
    """Count one measurement in its bucket."""
    _add(connection, name, label, BUCKETS[bisect.bisect_left(BOUNDS, seconds)], 1, seconds)


def counts(connection: sa.Connection, name: str) -> Mapping[str, int]:
    """Label -> count."""
    query = sa.select(tally.c.label, tally.c["count"]).where(tally.c.name == name, tally.c.bucket == "")
    return {row.label: row[1] for row in connection.execute(query)}


def histograms(connection: sa.Connection, name: str) -> Mapping[str, tuple[list[tuple[str, float]], float]]:
    """Label -> the cumulative buckets, as (upper bound, count), and the sum of what was measured."""
    query = sa.select(tally.c.label, tally.c.bucket, tally.c["count"], tally.c.total).where(tally.c.name == name)
    found: dict[str, tuple[dict[str, int], float]] = {}
    for label, bucket, count, total in connection.execute(query):
        seen, so_far = found.get(label, ({}, 0.0))
        found[label] = ({**seen, bucket: count}, so_far + total)
    return {label: (_cumulative(seen), total) for label, (seen, total) in found.items()}


def _cumulative(seen: Mapping[str, int]) -> list[tuple[str, float]]:
    buckets, below = [], 0
    for bound in BUCKETS:
        below += seen.get(bound, 0)
        buckets.append((bound, float(below)))
    return buckets


def _add(connection: sa.Connection, name: str, label: str, bucket: str, count: int, total: float) -> None:
    row = {"name": name, "label": label, "bucket": bucket}
    statement = insert(connection, tally).values(**row, count=count, total=total)
    sums = {"count": tally.c["count"] + count, "total": tally.c.total + total}
    connection.execute(statement.on_conflict_do_update(index_elements=list(row), set_=sums))
