"""One trace from the caller over the request and the job to its stages."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from schemas.problem import DataError
from schemas.request import AuditRequest
from service import tracing
from service.jobs.client import DatabaseJobs
from service.jobs.tables import audit
from service.tracing import audit_span, request_span, traceparent

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("test"))
    return exporter


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_the_trace_goes_on_from_request_to_stages(
    exported: InMemorySpanExporter,
    jobs: DatabaseJobs,
    engine: sa.Engine,
    caller: str,
    audit_request: Callable[..., AuditRequest],
) -> None:
    """The context is stored with the audit, so that a worker elsewhere takes it up."""
    with request_span("POST", "/v1/audits", {"traceparent": CALLER}):
        job, _ = jobs.submit(audit_request(), caller=caller)
    with engine.connect() as connection:
        stored = connection.execute(sa.select(audit.c.traceparent).where(audit.c.id == job.id)).scalar_one()
    with audit_span(job.id, 1, stored) as stages:
        for stage in ("opening", "opening", "checking"):
            stages.begin(stage)

    spans = by_name(exported)
    assert set(spans) == {"POST", "audit", "opening", "checking"}
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {CALLER.split("-")[1]}
    assert spans["audit"].parent.span_id == spans["POST"].context.span_id
    assert spans["checking"].parent.span_id == spans["audit"].context.span_id
    assert spans["opening"].end_time <= spans["checking"].start_time
    assert spans["audit"].attributes["fitcheck.audit.id"] == job.id


def test_a_failure_tells_its_code_and_nothing_of_the_data(exported: InMemorySpanExporter) -> None:
    def fail() -> None:
        with audit_span("an id", 2, None) as stages:
            stages.begin("opening")
            raise DataError("label_missing", "a secret")

    with pytest.raises(DataError):
        fail()

    span = by_name(exported)["audit"]
    assert span.attributes["error.type"] == "label_missing"
    assert not span.status.is_ok
    assert "a secret" not in span.to_json()


def test_nothing_is_stored_where_nothing_is_traced() -> None:
    assert traceparent() is None


def test_without_the_extra_it_is_said_and_goes_on() -> None:
    """As in an installation without the SDK, whose operator has set an endpoint."""
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "import os; os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = 'http://127.0.0.1:9'\n"
        "from service.tracing import configure_tracing; configure_tracing('api')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert "fitcheck[otel]" in done.stdout + done.stderr


def test_with_it_the_provider_is_set() -> None:
    code = (
        "import os; os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = 'http://127.0.0.1:9'\n"
        "from service.tracing import configure_tracing; configure_tracing('api')\n"
        "from opentelemetry import trace; print(trace.get_tracer_provider().resource.attributes['service.name'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "fitcheck-api"
