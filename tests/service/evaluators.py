"""An evaluator without an engine, for tests of the processes around it.

The model's address says what an evaluation does, ``verb:argument``; the tag `journal` names a file for its process id.
"""

import ctypes
import errno
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.job import Progress
from schemas.problem import DataError
from schemas.report import Report
from schemas.request import AuditRequest
from service.settings import get_settings
from tests.service.reports import report


def preload() -> None:
    """Nothing takes long here."""


def evaluate(
    request: AuditRequest, *, audit_id: str, roots: Sequence[Path], progress: Callable[[Progress], None]
) -> Report:
    verb, _, argument = request.model.uri.partition(":")
    if "journal" in request.tags:
        with Path(request.tags["journal"]).open("a") as journal:
            journal.write(f"{os.getpid()}\n")
    progress(Progress(fraction=0.25, stage="collecting", detail=verb))
    if verb == "caged":
        return report(audit_id, summary=caged(request, roots, argument))
    summary = BEHAVIOUR[verb](argument)
    return report(audit_id, summary=summary or "All is well.")


def caged(request: AuditRequest, roots: Sequence[Path], argument: str) -> str:
    """What becomes of reading a file in the cage of production."""
    from service.worker import audit as production  # noqa: PLC0415 - takes seconds, and is asked for once

    production._lock_in(request, roots, get_settings())
    try:
        return Path(argument).read_text()
    except PermissionError:
        return "denied"


def sleep(argument: str) -> None:
    time.sleep(float(argument))


def family(argument: str) -> None:
    """Start another process of the group, as an engine does for the model, and wait for it."""
    seconds, _, journal = argument.partition(":")
    with subprocess.Popen(["sleep", seconds]) as child, Path(journal).open("a") as file:
        print(child.pid, file=file, flush=True)


def surroundings(_: str) -> str:
    """What the process sees of the world."""
    Path("written").write_text("x")
    return json.dumps(
        {
            "environment": dict(os.environ),
            "folder": str(Path.cwd()),
            "leads_its_session": os.getsid(0) == os.getpid(),
        }
    )


def segfault(_: str) -> None:
    ctypes.string_at(0)


def leave(argument: str) -> None:
    """End in the middle, with a status of one's choice."""
    os._exit(int(argument))


def kill(argument: str) -> None:
    os.kill(os.getpid(), int(argument))


def problem(_: str) -> None:
    raise DataError("label_missing", "There is no column 'y'.", field="data.label", file="train.csv")


def crash(_: str) -> None:
    raise ZeroDivisionError("a secret")


def disk_full(_: str) -> None:
    raise OSError(errno.ENOSPC, "a secret")


def hold(argument: str) -> None:
    """Use so many megabytes for a moment."""
    assert bytearray(b"x") * (int(argument) * 2**20)


def no_memory(_: str) -> None:
    raise MemoryError


BEHAVIOUR: dict[str, Callable[[str], str | None]] = {
    "quick": lambda _: None,
    "sleep": sleep,
    "family": family,
    "surroundings": surroundings,
    "segfault": segfault,
    "leave": leave,
    "kill": kill,
    "problem": problem,
    "crash": crash,
    "disk_full": disk_full,
    "hold": hold,
    "no_memory": no_memory,
}
