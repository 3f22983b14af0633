"""Workers that make cases and audit them, until there are audits enough or the time is over."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path

from benchmarks.acceptance import plans
from benchmarks.acceptance.records import Journal, Record
from benchmarks.auditing import audit_folder, in_fork, worker_pool
from benchmarks.cases import Plan, make, truth_of

ALLOWED_FAILURES = 1.6  # plans that may be tried for each audit that is wanted


@dataclass(frozen=True)
class Options:
    """Attributes:
    audits: of healthy models, and as many with a fault.
    minutes: no further audit is started after this time.
    keep: folder in which to leave the cases.
    """

    audits: int
    jobs: int
    minutes: float
    seed: int
    keep: Path | None


def one(plan: Plan, keep: Path | None) -> Record:
    """Make a case and audit it. Runs in a worker."""
    with tempfile.TemporaryDirectory(prefix="acceptance-") as scratch:
        folder = (keep or Path(scratch)) / plan.name
        try:
            left_out = in_fork(make, plan, folder)
        except RuntimeError as error:
            left_out = f"not made: {error}"
        if left_out:
            return Record(plan, None, None, left_out)
        return Record(plan, truth_of(folder), audit_folder(folder))


def wanted(audits: int, seed: int, known: dict[str, Record]) -> Iterator[Plan]:
    """Plans without a record, healthy and faulty ones in turn, until there are audits enough of both."""

    def missing(source: Iterator[Plan]) -> Iterator[Plan]:
        good = 0
        for plan in islice(source, int(audits * ALLOWED_FAILURES)):
            if good >= audits:
                return
            if plan.name not in known:
                yield plan
            good += plan.name not in known or known[plan.name].is_audit

    pairs = zip_longest(missing(plans.healthy(seed)), missing(plans.faulty(seed)))
    return (plan for plan in chain.from_iterable(pairs) if plan is not None)


def run(options: Options, journal: Journal, known: dict[str, Record]) -> None:
    """Make and audit what has no record. What is left out is made up for by further plans."""
    deadline = time.monotonic() + 60 * options.minutes
    begun, done = time.monotonic(), 0
    with worker_pool(options.jobs) as pool:
        while todo := list(wanted(options.audits, options.seed, known)):
            for record in _records(pool, todo, options, deadline):
                journal.add(record)
                known[record.plan.name] = record
                done += 1
                print(f"{done:4} {(time.monotonic() - begun) / done:5.1f} s each  {_told(record)}", flush=True)
            if time.monotonic() >= deadline:
                return


def _records(pool: Executor, todo: Sequence[Plan], options: Options, deadline: float) -> Iterator[Record]:
    """The records of the plans as they are done; none is begun after the deadline."""
    plans_left = iter(todo)
    running: set[Future[Record]] = set()
    while True:
        while len(running) < options.jobs and time.monotonic() < deadline:
            plan = next(plans_left, None)
            if plan is None:
                break
            running.add(pool.submit(one, plan, options.keep))
        if not running:
            return
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in finished)


def _told(record: Record) -> str:
    if record.outcome is None or record.truth is None:
        return f"{record.plan.name}: left out, {record.left_out}"
    if record.outcome.error:
        return f"{record.plan.name}: {record.outcome.error}"
    said = ", ".join(record.outcome.causes) or "-"
    wrong = ", ".join(sorted(record.false_findings)) or "-"
    mark = "" if record.truth.primary is None else "found; " if record.is_found else "MISSED; "
    return f"{record.plan.name}: {mark}causes {said}; false {wrong}"
