"""Whether the worker of this container does its work: `python -m service.worker.healthcheck`, 0 if so.

A worker listens to no port. What shows that it lives is what other workers judge it by: a lease that is renewed.
"""

import sys

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.jobs.database import connect
from service.jobs.leases import here, live
from service.jobs.tables import lease
from service.settings import Settings, get_settings


def live_slots_here(settings: Settings) -> int:
    """How many slots of this machine, or container, were heard of within a lease.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    engine = connect(settings, pool_size=1)
    query = sa.select(sa.func.count()).where(live(settings.lease_seconds), lease.c.place == here())
    try:
        with engine.connect() as connection:
            return connection.execute(query).scalar_one()
    finally:
        engine.dispose()


def main() -> int:
    try:
        return 0 if live_slots_here(get_settings()) else 1
    except SQLAlchemyError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
