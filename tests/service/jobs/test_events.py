"""What followers are told, on both databases."""

import os
import signal

import pytest
import sqlalchemy as sa

from schemas.job import JobEvent
from service.jobs import tallies
from service.jobs.client import DatabaseJobs
from service.jobs.events import event_id

from .conftest import Journal, Slots, User


def events(jobs: DatabaseJobs, audit_id: str, after: int = 0) -> list[JobEvent]:
    return list(jobs.events({audit_id: after})[audit_id])


def test_every_stage_is_told_in_order_and_once(user: User, slot: object) -> None:
    """Also those that came and went between two looks, and to those who come back after any of them."""
    job = user.submit("stages")
    user.wait(job, "succeeded")

    told = events(user.jobs, job.id)

    stages = [(event.status, event.progress.stage) for event in told]
    assert stages == [
        ("running", "opening"),
        ("running", "collecting"),
        ("running", "checking"),
        ("running", "repairing"),
        ("succeeded", "done"),
    ]
    ids = [event.id for event in told]
    assert ids == sorted(set(ids))
    for i, event in enumerate(told):
        assert events(user.jobs, job.id, event.id) == told[i + 1 :]


def test_a_queued_audit_tells_so(user: User, jobs: DatabaseJobs, audit_request: object) -> None:
    job = user.submit("quick", resources={"device": "gpu"})

    assert [(event.id, event.status) for event in events(jobs, job.id)] == [(2, "queued")]
    assert jobs.events({"nobody": 0}) == {}


def test_a_failure_is_told_with_its_reason_and_stage(user: User, slot: object) -> None:
    job = user.submit("fail")
    user.wait(job, "failed")

    *_, last = events(user.jobs, job.id)

    assert last.status == "failed"
    assert last.error is not None
    assert last.error.code == "model_missing"


def test_a_second_start_goes_on_with_higher_ids(user: User, slots: Slots, journal: Journal) -> None:
    """The worker dies: the followers see the audit wait, or run again, never an id that they know."""
    slots.start()
    slots.start()
    job = user.submit("sleep:0.5")
    user.wait(job, "running")
    seen = events(user.jobs, job.id)
    os.kill(journal.first_pid(job.id), signal.SIGKILL)
    while not seen or seen[-1].status != "succeeded":
        seen += events(user.jobs, job.id, seen[-1].id if seen else 0)

    ids = [event.id for event in seen]
    assert ids == sorted(set(ids))
    assert [event.attempt for event in seen][-1] == 2
    assert {(event.attempt, event.progress.stage) for event in seen} >= {(1, "opening"), (2, "opening")}


def test_ids_rise_with_every_change() -> None:
    """Queued, running, running on, queued again, running again, done."""
    life = [(None, "queued"), (1, "running"), (2, "running"), (2, "queued"), (3, "running"), (3, "failed")]

    ids = [event_id(version, status) for version, status in life]  # type: ignore[arg-type]

    assert ids == sorted(set(ids))
    assert ids[0] > 0


@pytest.mark.usefixtures("slot")
def test_stages_are_measured(user: User, engine: sa.Engine) -> None:
    def measured() -> dict[str, float]:
        with engine.connect() as connection:
            found = tallies.histograms(connection, tallies.STAGE_SECONDS)
        return {stage: buckets[-1][1] for stage, (buckets, _) in found.items()}

    before = measured()
    job = user.submit("stages")
    user.wait(job, "succeeded")

    after = measured()
    for stage in ("opening", "collecting", "checking", "repairing"):
        assert after[stage] == before.get(stage, 0) + 1
