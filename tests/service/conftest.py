"""Databases, settings and requests for the tests of the service: everything runs on SQLite and on PostgreSQL."""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from schemas.request import AuditRequest
from service.jobs.client import DatabaseJobs, open_jobs
from service.jobs.database import connect, migrate
from service.settings import Settings

POSTGRES = os.environ.get("FITCHECK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes empty, migrated databases: copies of one, because a migration takes a second."""
    try:
        server = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        if "CI" in os.environ:
            raise
        pytest.skip(f"no PostgreSQL at {POSTGRES} (FITCHECK_TEST_POSTGRES)")
    made: list[str] = []

    def create(template: str = "template1") -> str:
        made.append(f"fitcheck_test_{uuid.uuid4().hex[:12]}")
        server.execute(f"CREATE DATABASE {made[-1]} TEMPLATE {template}")
        return made[-1]

    def url(name: str) -> str:
        return sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)

    with server:
        template = create()
        _migrate(Settings(database=url(template)))
        yield lambda: url(create(template))
        for name in made:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(
    scope="module",
    params=[pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def service_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with an empty database for the module, and leases so short that a death is noticed in a second."""
    folder = tmp_path_factory.mktemp("service")
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres")()
    else:
        database = f"sqlite:///{folder}/fitcheck.sqlite"
    return Settings(
        database=database,
        state_dir=folder,
        data_roots=(folder,),
        slots=1,
        lease_seconds=1.5,
        beat_seconds=0.3,
        poll_seconds=0.1,
        shutdown_seconds=1,
        log_format="console",
    )


@pytest.fixture(scope="module")
def jobs(service_settings: Settings) -> Iterator[DatabaseJobs]:
    opened = open_jobs(service_settings)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def engine(service_settings: Settings, jobs: DatabaseJobs) -> Iterator[sa.Engine]:
    """Another way into the database of `jobs`, to look at what it wrote."""
    opened = connect(service_settings)
    yield opened
    opened.dispose()


@pytest.fixture
def caller() -> str:
    """A caller who has no jobs yet."""
    return uuid.uuid4().hex


def make_request(model: str = "quick", **fields: Any) -> AuditRequest:
    """A request that is well-formed; nothing that it names exists."""
    data = {"train": {"uri": "train.csv"}, "validation": {"uri": "val.csv"}, "label": "y"}
    return AuditRequest.model_validate({"model": {"uri": model}, "data": data, **fields})


@pytest.fixture
def audit_request() -> Callable[..., AuditRequest]:
    return make_request


def _migrate(settings: Settings) -> None:
    engine = connect(settings)
    migrate(settings, engine)
    engine.dispose()
