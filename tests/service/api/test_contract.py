"""Generated requests, valid and invalid, against the OpenAPI document."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.access.store import Keys
from service.api.app import create_app
from service.jobs.database import connect, migrate
from service.settings import Settings
from service.uploads.store import Uploads
from tests.service.api.conftest import EXAMPLES
from tests.service.fakes import FakeJobs

# Made when the module is read, for the operations are the tests' parameters.
_folder = Path(tempfile.mkdtemp(prefix="fitcheck-contract-"))
# So many requests would soon be too many.
_settings = Settings(data_roots=(EXAMPLES,), state_dir=_folder, rate_limit=0)
_engine = connect(_settings)
_app = create_app(_settings, FakeJobs(), uploads=Uploads(_settings, _engine), keys=Keys(_engine))
schema = schemathesis.openapi.from_asgi("/openapi.json", _app)


@pytest.fixture(scope="module", autouse=True)
def stores() -> Iterator[None]:
    migrate(_settings, _engine)
    yield
    _engine.dispose()
    shutil.rmtree(_folder)


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: schemathesis.Case):
    # No schema can say that files must exist, that tag keys differ, or which cursors we gave.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
