"""OpenTelemetry traces from the request over the job to its stages: the extra `otel`, configured by ``OTEL_*``.

Without the extra, or without an endpoint, every call here does nothing: the API of OpenTelemetry is made so. The
context of a trace travels with the audit in the database, as a W3C traceparent.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog
from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

log = structlog.get_logger(__name__)

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_TRACEPARENT: Final = "traceparent"
_PROPAGATOR = TraceContextTextMapPropagator()


def configure_tracing(process: str) -> None:
    """Send this process's traces to the collector that the environment names, if it names one."""
    if not any(os.environ.get(name) for name in ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED") == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - likewise
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - likewise
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - likewise
    except ImportError:
        log.warning("traces_not_sent", remedy="install fitcheck[otel]")
        return
    name = os.environ.get("OTEL_SERVICE_NAME", f"fitcheck-{process}")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def traceparent() -> str | None:
    """The context of the present span, to be stored; None where nothing is traced."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get(_TRACEPARENT)


@contextmanager
def request_span(method: str, path: str, headers: Mapping[str, str]) -> Iterator[Span]:
    """The span of an HTTP exchange, below the caller's own where that sent its context."""
    attributes = {"http.request.method": method, "url.path": path}
    context = propagate.extract(headers)
    with _tracer().start_as_current_span(method, context, SpanKind.SERVER, attributes) as span:
        yield span


@contextmanager
def audit_span(audit_id: str, attempt: int, parent: str | None) -> Iterator["Stages"]:
    """The span of one start of an audit, below the request that submitted it; gives where its stages are told."""
    context = _PROPAGATOR.extract({_TRACEPARENT: parent} if parent else {})
    attributes: dict[str, str | int] = {"fitcheck.audit.id": audit_id, "fitcheck.audit.attempt": attempt}
    with _tracer().start_as_current_span(
        "audit", context, SpanKind.CONSUMER, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        stages = Stages()
        try:
            yield stages
        except Exception as error:
            # The type alone: the text may quote data.
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
            raise
        finally:
            stages.end()


class Stages:
    """One span a stage, each ended by the next."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._span: Span | None = None

    def begin(self, stage: str) -> None:
        """Note the stage; nothing where it is the present one."""
        if stage != self._stage:
            self.end()
            self._stage, self._span = stage, _tracer().start_span(stage)

    def end(self) -> None:
        if self._span is not None:
            self._span.end()
            self._span = None


def _tracer() -> trace.Tracer:
    return trace.get_tracer("fitcheck")
