"""An audit with a scratch folder: what it fetches lies there, and is called by its address in all that it says."""

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, NoReturn

from audits.isolation.kernel import die_with_parent
from audits.sources.https import DEADLINE_SECONDS
from audits.sources.locations import Roots
from audits.sources.remote import Scratch, fetch, is_remote, named_by, scratch
from schemas.problem import DataError, EvaluatorError, Problem, ProblemError
from schemas.report import Report
from schemas.request import AuditRequest

GRACE_SECONDS = 60.0  # to find out by itself, and to say which address it was
BLOCK_BYTES = 2**16


def staged(audit: Callable[..., Report]) -> Callable[..., Report]:
    """Give a function that takes `roots` a scratch folder, which is removed when it returns.

    Where the roots have one already, that is used and stays.
    """

    @wraps(audit)
    def with_scratch(*args: Any, roots: Roots, **named: Any) -> Report:
        with scratch() if roots.scratch is None else named_by(roots.scratch) as place:
            report = audit(*args, roots=replace(roots, scratch=place), **named)
            return Report.model_validate(place.said(report.model_dump())) if place.is_used else report

    return with_scratch


def remote_addresses(request: AuditRequest) -> list[tuple[str, str]]:
    """The fields of a request that name something elsewhere, with the address."""
    return [(field, uri) for field, uris in request.addresses.items() for uri in uris if is_remote(uri)]


def fetch_apart(request: AuditRequest, remote: tuple[str, ...], into: Scratch) -> None:
    """Fetch all that lies elsewhere in a process of its own, which parses nothing of it.

    What goes on here needs no network and no credentials afterwards, and has none of the threads of the stores'
    clients, which no cage would reach.

    Raises:
        ProblemError: what `fetch` raises.
    """
    addresses = remote_addresses(request)
    if not addresses:
        return
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _fetch_all(addresses, remote, into, parent, writing)
    os.close(writing)
    try:
        told = _read_all(reading, time.monotonic() + len(addresses) * DEADLINE_SECONDS + GRACE_SECONDS)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not told:
        raise EvaluatorError("fetch_failed", "The process that fetches files ended before it was done. Try again.")
    answer = json.loads(told)
    if "problem" in answer:
        raise ProblemError.from_problem(Problem.model_validate(answer["problem"]))
    into.restore(answer)


def _read_all(reading: int, deadline: float) -> bytes:
    """What the other side writes until it closes the pipe.

    Raises:
        DataError: nothing came in time: a store's client may wait for ever in one call.
    """
    told = bytearray()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while poll.poll(1000 * max(0.0, deadline - time.monotonic())):
        block = os.read(reading, BLOCK_BYTES)
        if not block:
            return bytes(told)
        told += block
    raise DataError(
        "data_unreadable",
        "Fetching what lies elsewhere takes too long. Name fewer or smaller files, or copy them below a data root.",
        field="data",
    )


def _fetch_all(
    addresses: list[tuple[str, str]], remote: tuple[str, ...], into: Scratch, parent: int, writing: int
) -> NoReturn:
    try:
        die_with_parent(parent)
        try:
            for field, address in addresses:
                fetch(address, remote, into, field=field)
            answer = into.state()
        except ProblemError as error:
            answer = {"problem": error.problem.model_dump()}
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)
