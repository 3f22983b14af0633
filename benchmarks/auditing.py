"""Audits without a service, as a warm service does them: TensorFlow is loaded once, and every model runs in a fork."""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audits.isolation.kernel import die_with_parent

THREADS = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
LOUD = {"warning", "critical"}
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Outcome:
    """What an audit said.

    Attributes:
        loud: codes of findings of severity warning or critical.
        causes: codes of the diagnosis, the first one first.
        confirmed: those of them that an intervention confirmed.
        error: the problem, where there is no report.
    """

    verdict: str | None
    loud: tuple[str, ...]
    causes: tuple[str, ...]
    confirmed: tuple[str, ...]
    seconds: float
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "Outcome":
        lists = {name: tuple(content[name]) for name in ("loud", "causes", "confirmed")}
        return Outcome(**{**content, **lists})


def prepare_worker() -> None:
    """Load TensorFlow and touch no device, so that children that are forked from here can use it."""
    os.environ.update(THREADS)
    from audits.models import import_tensorflow  # noqa: PLC0415 - after the environment is set

    import_tensorflow()


@contextmanager
def worker_pool(jobs: int, prepare: Callable[[], None] = prepare_worker) -> Iterator[ProcessPoolExecutor]:
    """Workers that start anew, prepare themselves, and end when this process does, however it ends."""
    os.environ.update(THREADS)  # they inherit it
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin, (os.getpid(), prepare))
    try:
        yield pool
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.kill()  # what it does takes minutes, and nobody waits for it any more
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int, prepare: Callable[[], None]) -> None:
    die_with_parent(parent)
    prepare()


def audit_folder(folder: Path) -> Outcome:
    """Audit a case folder in a prepared worker."""
    from audits.engine import audit  # noqa: PLC0415 - as above
    from audits.sources import Roots  # noqa: PLC0415
    from benchmarks.cases import request_of  # noqa: PLC0415
    from schemas.problem import ProblemError  # noqa: PLC0415

    begun = time.monotonic()
    try:
        report = audit(request_of(folder), audit_id=folder.name, roots=Roots((folder.resolve(),)))
    except ProblemError as problem:
        return Outcome(None, (), (), (), time.monotonic() - begun, f"{problem.code}: {problem.detail}"[:300])
    return Outcome(
        report.verdict,
        tuple(finding.code for finding in report.findings if finding.severity.value in LOUD),
        tuple(cause.code for cause in report.diagnosis),
        tuple(cause.code for cause in report.diagnosis if cause.confirmation and cause.confirmation.confirmed),
        time.monotonic() - begun,
    )


def in_fork(function: Callable[..., Any], *arguments: Any, limit_seconds: float = 600) -> Any:
    """What the function returns, run in a fork that may use TensorFlow and takes what it used with it.

    Raises:
        RuntimeError: it raised, died, or did not end in time.
    """
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_answer, args=(theirs, function, arguments, os.getpid()), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(limit_seconds):
            raise RuntimeError(f"no answer in {limit_seconds:.0f} s")
        failed, value = ours.recv()
    except EOFError:
        raise RuntimeError("the process died") from None
    finally:
        ours.close()
        child.kill()
        child.join()
    if failed:
        raise RuntimeError(value)
    return value


def _answer(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...], parent: int) -> None:
    try:
        die_with_parent(parent)
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - TensorFlow's chatter is no output of ours
            os.dup2(nowhere.fileno(), 2)
        connection.send((False, function(*arguments)))
    except BaseException as error:
        connection.send((True, "".join(traceback.format_exception_only(error)).strip()))
    finally:
        connection.close()
        sys.stdout.flush()
        os._exit(0)
