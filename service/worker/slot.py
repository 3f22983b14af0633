"""A worker slot: one process that takes one audit at a time from one queue."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

import structlog

from audits.isolation.kernel import hide
from schemas.problem import ProblemError
from service.jobs.engine import Executor
from service.logs import configure_logging
from service.settings import Settings, get_settings
from service.tracing import configure_tracing
from service.worker.evaluation import ForkedEvaluation, is_warm

log = structlog.get_logger(__name__)

EXIT_FENCED = 75  # EX_TEMPFAIL: start me again
WARM_SECONDS = 1.0


def run_slot(settings: Settings, *, queue: str, executor: str, address: Path, device: str) -> int:
    """Work until told to stop; the exit status.

    `executor` names this slot and boot, `address` is the socket of the fork server, and `device` is what CUDA
    may see: ``-1`` for nothing.
    """
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor's affair
    # An audit taken before the fork server is warm would be shown as running while it waits.
    while not stopping.is_set() and not is_warm(address, WARM_SECONDS):
        stopping.wait(0.05)
    slot = Executor(
        settings,
        queue=queue,
        executor=executor,
        evaluate=ForkedEvaluation(address, settings.data_roots, {"CUDA_VISIBLE_DEVICES": device}),
        on_fenced=_end_fenced,
    )
    if not stopping.is_set():
        slot.start()
        log.info("slot_ready", slot=executor, queue=queue)
        stopping.wait()
        slot.stop(settings.shutdown_seconds)
    return 0


def _end_fenced() -> None:
    log.warning("slot_fenced", reason="unheard of for a lease, so that others took over its work")
    _exit(EXIT_FENCED)


def _exit(status: int) -> NoReturn:
    """End at once: an audit that still runs here is already somebody else's."""
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service.worker.slot")
    parser.add_argument("--queue", required=True, help="name of the queue to take audits from")
    parser.add_argument("--executor", required=True, help="name of this slot and boot")
    parser.add_argument("--address", type=Path, required=True, help="socket of the fork server")
    parser.add_argument("--device", default="-1", help="what CUDA may see")
    arguments = parser.parse_args()
    hide()
    settings = get_settings()
    configure_logging(settings)
    configure_tracing("worker")
    try:
        status = run_slot(settings, **vars(arguments))
    except ProblemError as error:
        log.error("slot_failed", code=error.code, detail=error.detail)  # noqa: TRY400 - says all there is
        status = 1
    _exit(status)


if __name__ == "__main__":
    main()
