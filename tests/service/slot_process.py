"""A slot that evaluates in its own process: the job engine's worker side alone, for its tests.

The model's address says what the evaluation does, ``verb:argument``.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from schemas.job import Progress
from schemas.problem import ModelError
from schemas.report import Report
from service.jobs.claims import Assignment, Superseded
from service.jobs.engine import Executor, InfrastructureError
from service.logs import configure_logging
from service.settings import Settings
from tests.service.reports import report

FENCED = 75


def evaluate(assignment: Assignment, *, progress: Callable[[Progress], None], stopped: Callable[[], bool]) -> Report:
    verb, _, argument = assignment.request.model.uri.partition(":")
    with Path(os.environ["JOURNAL"]).open("a") as journal:
        journal.write(f"{assignment.audit_id} {verb} {assignment.attempt} {os.getpid()}\n")
    BEHAVIOUR[verb](argument, progress, stopped)
    return report(assignment.audit_id, summary=str(os.getpid()), verdict="warn")


def sleep(argument: str, progress: Callable[[Progress], None], stopped: Callable[[], bool]) -> None:
    end = time.monotonic() + float(argument)
    while time.monotonic() < end:
        progress(Progress(fraction=0.5, stage="checking", detail="asleep"))
        if stopped():
            raise Superseded
        time.sleep(0.05)


def stages(_: str, progress: Callable[[Progress], None], stopped: Callable[[], bool]) -> None:
    """Faster than anyone looks."""
    for fraction, stage in enumerate(("collecting", "checking", "repairing"), 1):
        progress(Progress(fraction=fraction / 4, stage=stage))


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(*_: object) -> None:
    raise ModelError("model_missing", "There is no such model.", field="model.uri")


def crash(*_: object) -> None:
    raise ZeroDivisionError("a secret")


def stumble(argument: str, *_: object) -> None:
    """Fail for reasons of the machine, so often."""
    if Path(os.environ["JOURNAL"]).read_text().count("stumble") <= int(argument):
        raise InfrastructureError("worker_fault", "The disk is full.")


BEHAVIOUR = {
    "quick": lambda *_: None,
    "sleep": sleep,
    "stages": stages,
    "die": die,
    "fail": fail,
    "crash": crash,
    "stumble": stumble,
}


def run(settings: Settings, executor: str, journal: Path) -> NoReturn:
    """Be a slot until killed or told to stop."""
    os.environ["JOURNAL"] = str(journal)
    configure_logging(settings)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    slot = Executor(
        settings,
        queue="cpu",
        executor=executor,
        evaluate=evaluate,
        on_fenced=lambda: os._exit(FENCED),
    )
    slot.start()
    ended.wait()
    slot.stop(settings.shutdown_seconds)
    os._exit(0)
