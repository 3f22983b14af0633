"""One slot, and what becomes of the audits that it takes."""

import time
from multiprocessing.context import ForkProcess

import pytest

from service.jobs.errors import NoReport
from service.jobs.interface import JobFilter

from .conftest import Journal, Slots, User


def test_an_audit_succeeds(user: User, slot: ForkProcess) -> None:
    """It gets a report and a verdict, and times that are in order."""
    job = user.submit()

    done = user.wait(job)

    assert (done.status, done.verdict, done.attempt, done.error) == ("succeeded", "warn", 1, None)
    assert (done.progress.fraction, done.progress.stage) == (1.0, "done")
    assert done.started_at is not None
    assert done.finished_at is not None
    assert done.created_at <= done.started_at <= done.finished_at
    assert done.links.report == f"/v1/audits/{job.id}/report"
    assert user.jobs.report(job.id, caller=user.name).audit_id == job.id
    assert user.cancel(job) == done
    found = user.jobs.list(caller=user.name, where=JobFilter(verdicts=["warn"]), cursor=None, limit=10)
    assert found.items == [done]


def test_a_job_costs_little_beyond_its_evaluation(user: User, slot: ForkProcess) -> None:
    """From submission to a report in less than a second, of which most is waiting for the next look."""
    user.wait(user.submit(), "succeeded")
    started = time.monotonic()

    user.wait(user.submit(), "succeeded")

    assert time.monotonic() - started < 1.0


def test_a_problem_fails_the_job_at_once(user: User, slot: ForkProcess, journal: Journal) -> None:
    """The job carries the problem as it was raised, and there was one start."""
    job = user.submit("fail")

    failed = user.wait(job)

    assert failed.error is not None
    assert (failed.error.code, failed.error.field) == ("model_missing", "model.uri")
    assert failed.error.detail == "There is no such model."
    assert failed.error.title == "Model missing"
    assert journal.starts(job.id) == 1
    with pytest.raises(NoReport):
        user.jobs.report(job.id, caller=user.name)


def test_an_unforeseen_error_says_nothing_of_its_text(user: User, slot: ForkProcess) -> None:
    job = user.submit("crash")

    failed = user.wait(job)

    assert failed.error is not None
    assert failed.error.code == "internal_error"
    assert "secret" not in failed.error.model_dump_json()


@pytest.mark.parametrize(("faults", "status", "starts"), [(2, "succeeded", 3), (3, "failed", 3)])
def test_faults_of_the_machine_are_tried_again(
    user: User, slot: ForkProcess, journal: Journal, faults: int, status: str, starts: int
) -> None:
    """Twice, in the same slot; the third fault is the job's."""
    journal.path.write_text("")
    job = user.submit(f"stumble:{faults}")

    ended = user.wait(job)

    assert ended.status == status
    assert journal.starts(job.id) == 3
    if ended.error is not None:
        assert ended.error.code == "worker_fault"


def test_cancelling_a_running_audit_stops_it(user: User, slot: ForkProcess) -> None:
    """Within seconds, and the slot takes the next one; the progress shows how far it came."""
    job = user.submit("sleep:60")
    user.wait(job, "running")
    time.sleep(1)
    assert user.get(job).progress.detail == "asleep"

    cancelled = user.cancel(job)
    follower = user.submit()

    assert cancelled.status == "cancelled"
    assert cancelled.progress.fraction == 0.5
    assert cancelled.started_at is not None
    user.wait(follower, "succeeded", seconds=5)
    assert user.get(job).status == "cancelled"


def test_an_audit_that_runs_too_long_fails(user: User, slot: ForkProcess) -> None:
    """The limit counts from the start; a late cancel does not turn the failure into something else."""
    job = user.submit("sleep:60", resources={"timeout_seconds": 1})
    user.wait(job, "running")
    started = time.monotonic()

    failed = user.wait(job)

    assert time.monotonic() - started < 4
    assert failed.error is not None
    assert (failed.error.code, failed.error.field) == ("audit_timeout", "resources.timeout_seconds")
    assert user.cancel(job) == failed


def test_the_urgent_runs_first(user: User, slot: ForkProcess, journal: Journal) -> None:
    """A higher priority overtakes what waits, whenever it was submitted."""
    blocking = user.submit("sleep:60")
    user.wait(blocking, "running")
    low, middle, high = (user.submit(priority=priority) for priority in (-49, 0, 49))

    user.cancel(blocking)

    user.wait(low, "succeeded")
    assert journal.order()[-3:] == [high.id, middle.id, low.id]


def test_a_slot_that_is_stopped_finishes_its_audit(user: User, slots: Slots) -> None:
    """A stop waits for the audit as long as the settings say, takes no more, and gives the lease back."""
    slot = slots.start()
    job = user.submit("sleep:0.8")
    user.wait(job, "running")
    slot.terminate()
    late = user.submit()

    slot.join(timeout=15)
    assert slot.exitcode == 0
    assert user.get(job).status == "succeeded"
    assert user.get(late).status == "queued"
    assert user.jobs.workers() == 0
