"""Prometheus metrics, read from the database at each scrape: every API process answers for the whole service."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from schemas.isolation import LEVELS, Isolation
from service.jobs.errors import DatabaseUnavailable
from service.jobs.interface import Jobs, Statistics

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KEEP_SECONDS = 5.0  # several scrapers, and those who reload, cost the database one look


class Metrics:
    """What `/metrics` answers."""

    def __init__(self, jobs: Jobs, followers: Callable[[], int], isolation: Callable[[], Isolation]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Service(jobs, followers, isolation))

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Service(Collector):
    def __init__(self, jobs: Jobs, followers: Callable[[], int], isolation: Callable[[], Isolation]) -> None:
        self._jobs = jobs
        self._followers = followers
        self._isolation = isolation
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._last: Statistics | None = None

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        statistics = self._statistics()
        up = "Whether the database answered this scrape; where it did not, all that is read from it is missing."
        yield GaugeMetricFamily("fitcheck_database_up", up, value=statistics is not None)
        yield GaugeMetricFamily(
            "fitcheck_followers", "Event streams that are open in this process.", value=self._followers()
        )
        yield from _isolation(self._isolation())
        if statistics is not None:
            yield from _gauges(statistics)
            yield from _counters(statistics)

    def _statistics(self) -> Statistics | None:
        with self._lock:
            if self._last is None or time.monotonic() - self._read_at > KEEP_SECONDS:
                try:
                    self._last = self._jobs.statistics()
                except DatabaseUnavailable:
                    self._last = None
                self._read_at = time.monotonic()
            return self._last


def _isolation(found: Isolation) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "fitcheck_isolation_level",
        "What locks models in on the machine that answers: 0 none, 1 weak, 2 strong, 3 full.",
        value=LEVELS.index(found.level),
    )
    labels = {
        "level": found.level,
        "landlock_abi": str(found.landlock_abi),
        "seccomp": str(found.seccomp).lower(),
        "network": found.network,
        "missing": ", ".join(found.missing),
    }
    yield InfoMetricFamily("fitcheck_isolation", "Likewise, with what is missing.", value=labels)


def _gauges(statistics: Statistics) -> Iterator[Metric]:
    queued = GaugeMetricFamily("fitcheck_queued_audits", "Audits that wait for a worker.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "fitcheck_oldest_queued_seconds", "Since when the one that was submitted first waits.", labels=["queue"]
    )
    for queue, (count, seconds) in statistics.queues.items():
        queued.add_metric([queue], count)
        oldest.add_metric([queue], seconds)
    slots = GaugeMetricFamily("fitcheck_slots", "Worker slots that are alive.", labels=["queue", "state"])
    for (queue, state), count in statistics.slots.items():
        slots.add_metric([queue, state], count)
    callbacks = GaugeMetricFamily("fitcheck_callbacks", "Webhooks of finished audits, by state.", labels=["state"])
    for state, count in statistics.callbacks.items():
        callbacks.add_metric([state], count)
    yield from (queued, oldest, slots, callbacks)


def _counters(statistics: Statistics) -> Iterator[Metric]:
    audits = CounterMetricFamily("fitcheck_audits", "Audits that have ended, by status.", labels=["status"])
    for status, count in statistics.ended.items():
        audits.add_metric([status], count)
    expiries = CounterMetricFamily(
        "fitcheck_lease_expiries", "Slots that were unheard of for a lease and taken for dead.", labels=["queue"]
    )
    for queue, count in statistics.lease_expiries.items():
        expiries.add_metric([queue], count)
    deliveries = CounterMetricFamily("fitcheck_callback_deliveries", "Webhooks sent, by result.", labels=["result"])
    for result, count in statistics.deliveries.items():
        deliveries.add_metric([result], count)
    stages = HistogramMetricFamily("fitcheck_stage_seconds", "How long the stages of audits take.", labels=["stage"])
    for stage, (buckets, total) in statistics.stages.items():
        stages.add_metric([stage], buckets, total)
    yield from (audits, expiries, deliveries, stages)
