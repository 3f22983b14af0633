"""What Prometheus reads, and that the dashboard asks for nothing else."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.isolation import Isolation
from service.api import metrics
from service.jobs.errors import DatabaseUnavailable
from service.jobs.interface import Statistics

DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "fitcheck.json"
NUMBERS = Statistics(
    queues={"cpu": (3, 12.5)},
    slots={("cpu", "busy"): 1, ("cpu", "idle"): 2},
    ended={"succeeded": 5, "failed": 1, "cancelled": 0},
    callbacks={"pending": 1, "dead": 2},
    lease_expiries={"cpu": 4},
    deliveries={"delivered": 6, "failed": 7},
    stages={"opening": ([("1.0", 2.0), ("+Inf", 3.0)], 9.5)},
)


LOCKED_IN = Isolation(level="full", landlock_abi=7, seccomp=True, network="denied")


@pytest.fixture
def samples(client, jobs) -> dict[tuple[str, frozenset], float]:
    jobs.numbers = NUMBERS
    lock_in(client, jobs, LOCKED_IN)
    return read(client.get("/metrics"))


def lock_in(client, jobs, found: Isolation) -> None:
    """Have the application run on a machine that offers this."""
    client.app.state.metrics = metrics.Metrics(jobs, lambda: 0, lambda: found)


def read(answer) -> dict[tuple[str, frozenset], float]:
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_everything_is_told(samples):
    def value(name: str, **labels: str) -> float:
        return samples[name, frozenset(labels.items())]

    assert value("fitcheck_queued_audits", queue="cpu") == 3
    assert value("fitcheck_oldest_queued_seconds", queue="cpu") == 12.5
    assert value("fitcheck_slots", queue="cpu", state="busy") == 1
    assert value("fitcheck_audits_total", status="failed") == 1
    assert value("fitcheck_lease_expiries_total", queue="cpu") == 4
    assert value("fitcheck_callbacks", state="dead") == 2
    assert value("fitcheck_callback_deliveries_total", result="failed") == 7
    assert value("fitcheck_stage_seconds_bucket", stage="opening", le="1.0") == 2
    assert value("fitcheck_stage_seconds_sum", stage="opening") == 9.5
    assert value("fitcheck_database_up") == 1
    assert value("fitcheck_followers") == 0
    assert value("fitcheck_isolation_level") == 3


def test_many_scrapers_cost_one_look(client, jobs, monkeypatch):
    lock_in(client, jobs, LOCKED_IN)  # finding that out takes a while, once
    looks = []
    monkeypatch.setattr(type(jobs), "statistics", lambda _: looks.append(1) or NUMBERS)
    for _ in range(5):
        client.get("/metrics")

    assert len(looks) == 1


def test_a_database_that_is_away_is_told_too(client, jobs):
    """A scrape that fails would hide why."""
    jobs.broken = DatabaseUnavailable()
    told = {name: value for (name, _), value in read(client.get("/metrics")).items()}

    assert told.pop("fitcheck_isolation_level") in range(4)
    assert told == {"fitcheck_database_up": 0, "fitcheck_followers": 0, "fitcheck_isolation_info": 1}


@pytest.mark.parametrize(("level", "expected"), [("none", 0), ("weak", 1), ("strong", 2)])
def test_what_locks_models_in_is_told_with_what_is_missing(client, jobs, level, expected):
    found = Isolation(level=level, seccomp=True, missing=["landlock", "read a file outside"])
    lock_in(client, jobs, found)
    told = read(client.get("/metrics"))
    labels = {
        "level": level,
        "landlock_abi": "0",
        "seccomp": "true",
        "network": "allowed",
        "missing": "landlock, read a file outside",
    }

    assert told["fitcheck_isolation_level", frozenset()] == expected
    assert told["fitcheck_isolation_info", frozenset(labels.items())] == 1


def test_it_is_of_the_type_that_prometheus_reads(client):
    assert client.get("/metrics").headers["Content-Type"] == metrics.MEDIA_TYPE


def test_the_dashboard_asks_for_what_there_is(samples):
    """A panel on a metric that was renamed would be empty, and look like peace."""
    known = {name for name, _ in samples}
    labels = {label for _, pairs in samples for label, _ in pairs} | {"le", "instance", "job"}
    queries = [t["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for t in panel.get("targets", [])]

    asked = {name for query in queries for name in re.findall(r"\bfitcheck_\w+", query)}
    assert len(queries) >= 8
    assert asked <= known
    # Every metric has its place on it; a histogram by any of its series.
    assert {name for name in known if not re.search("_(sum|count|created)$", name)} <= asked
    for by in re.findall(r"\bby \(([^)]*)\)", " ".join(queries)):
        assert {name.strip() for name in by.split(",")} <= labels
