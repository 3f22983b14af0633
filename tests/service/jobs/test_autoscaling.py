"""What an autoscaler asks the database: written in a manifest, so that only a test holds it to the tables."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from service.jobs.client import open_jobs
from service.jobs.database import connect
from service.settings import Settings
from tests.service.conftest import make_request

COMPONENTS = Path(__file__).parents[3] / "deploy" / "kubernetes" / "components"


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("file", "expected"), [("autoscaling/worker-cpu.yaml", 3), ("autoscaling-gpu/worker-gpu.yaml", 0)]
)
def test_the_query_counts_what_waits_for_this_kind_of_worker(
    postgres: Callable[[], str], file: str, expected: int
) -> None:
    scaled = yaml.safe_load((COMPONENTS / file).read_text())
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    settings = Settings(database=postgres())
    jobs = open_jobs(settings)
    for _ in range(3):
        jobs.submit(make_request(), caller="anyone")
    engine = connect(settings)

    with engine.connect() as connection:
        assert connection.execute(sa.text(query)).scalar_one() == expected

    engine.dispose()
    jobs.close()
