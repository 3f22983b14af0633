"""`fitcheck db`: the database of the service, looked after by hand."""

from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from pydantic import BaseModel, Field

from schemas.problem import RequestError
from service.jobs.client import open_jobs
from service.jobs.database import connect, migrate, unavailable_is_a_problem, version_of
from service.jobs.interface import Pruned
from service.jobs.statistics import read
from service.settings import Settings


class DatabaseStatus(BaseModel):
    database: str = Field(description="Without its password.")
    version: str | None = Field(description="Of the tables; null where there are none.")
    newest_version: str
    queued: dict[str, int] = {}
    slots: dict[str, int] = {}
    ended: dict[str, int] = {}
    webhooks: dict[str, int] = {}


def upgrade(settings: Settings) -> None:
    """Bring the tables up to date.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    engine = connect(settings, pool_size=1)
    try:
        migrate(settings, engine)
    finally:
        engine.dispose()


def status_of(settings: Settings) -> DatabaseStatus:
    """What the database holds; makes none where there is none.

    Raises:
        RequestError: `database_missing`.
        DatabaseUnavailable: the database does not answer.
    """
    url = settings.database_url
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise RequestError("database_missing", f"There is no {url.database}. `fitcheck db upgrade` makes it.")
    engine = connect(settings, pool_size=1)
    try:
        with unavailable_is_a_problem(), engine.connect() as connection:
            version, newest = version_of(connection)
            status = DatabaseStatus(database=url.render_as_string(), version=version, newest_version=newest)
            return _counted(connection, settings, status) if version == newest else status
    finally:
        engine.dispose()


def _counted(connection: sa.Connection, settings: Settings, status: DatabaseStatus) -> DatabaseStatus:
    numbers = read(connection, settings.lease_seconds)
    return status.model_copy(
        update={
            "queued": {queue: count for queue, (count, _) in numbers.queues.items()},
            "slots": {f"{queue} {state}": count for (queue, state), count in numbers.slots.items()},
            "ended": dict(numbers.ended),
            "webhooks": dict(numbers.callbacks),
        }
    )


def prune(settings: Settings) -> Pruned:
    """Delete what is older than the settings keep it.

    Raises:
        RequestError: `nothing_to_prune`: the settings keep everything.
        DatabaseUnavailable: the database does not answer.
    """
    if settings.keep_jobs_days is None and settings.keep_reports_days is None:
        raise RequestError("nothing_to_prune", "Everything is kept: give --keep-jobs-days or --keep-reports-days.")
    with closing(open_jobs(settings)) as jobs:
        return jobs.prune()
