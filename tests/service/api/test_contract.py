"""Generated requests, valid and invalid, against the OpenAPI document."""

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.api.app import create_app
from service.settings import Settings
from tests.service.api.conftest import EXAMPLES
from tests.service.fakes import FakeJobs

schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(Settings(data_roots=(EXAMPLES,)), FakeJobs()))


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: schemathesis.Case):
    # No schema can say that files must exist, that tag keys differ, or which cursors we gave.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
