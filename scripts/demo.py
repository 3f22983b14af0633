"""Audits an example through the HTTP API: starts the service, submits, waits, and shows what came back.

Usage: python -m scripts.demo [EXAMPLE] [--keep] [--ready-seconds S], with the name of a folder of examples/ that holds
a request.json. Exits with 0 whatever the verdict is, and with 3 where the demo itself failed.
"""

import argparse
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType

import httpx
from rich.console import Console
from rich.markup import escape

from schemas.problem import ProblemError
from schemas.report import Report
from schemas.request import AuditRequest
from service.cli.client import Client
from service.cli.exits import ExitCode, gate
from service.cli.options import AuditOptions
from service.cli.render import render_problem, render_report
from service.cli.requests import request_from
from service.cli.writing import write_report
from service.client.progress import ProgressDisplay

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
STATE = ROOT / ".demo"
DEFAULT = "wrong_scaling"
READY_SECONDS = 900.0  # a service that lives will be ready; only one that hangs is given up
SLOW_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1


class DemoError(ProblemError):
    """The demo cannot go on."""


def request_of(example: str) -> AuditRequest:
    """The request that stands in an example's folder, its addresses absolute.

    Raises:
        DemoError: there is no such example; names those that there are.
    """
    path = EXAMPLES / example / "request.json"
    if not path.is_file():
        known = ", ".join(sorted(str(p.parent.relative_to(EXAMPLES)) for p in EXAMPLES.rglob("request.json")))
        raise DemoError("no_such_example", f"There is no example {example!r}; choose one of {known}.")
    return request_from(AuditOptions(request=path))


@contextmanager
def fresh_state() -> Iterator[Path]:
    """A folder of this run's own. What earlier runs left behind, also killed ones, is removed first."""
    STATE.mkdir(exist_ok=True)
    for leftover in STATE.glob("run-*"):
        with _lock(leftover) as free:
            if free:
                shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=STATE))
    try:
        with _lock(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold the folder for this process; False where a living demo holds it. Locks die with their process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


@contextmanager
def running_service(
    state: Path,
    log: Path,
    data_root: Path = EXAMPLES,
    settings: Mapping[str, str] = MappingProxyType({}),
    *,
    ready_seconds: float = READY_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """`fitcheck serve` on its embedded default; gives its address, and stops it at the end.

    Args:
        state: folder of its database and its other files.
        log: file for what it says.
        data_root: below which it reads.
        settings: further environment variables.
        ready_seconds: how long a service that lives may take to be ready.
        say: is told, now and then, that it still starts.
    """
    address = f"http://127.0.0.1:{free_port()}"
    with log.open("wb") as output:
        process = _start(address, state, output.fileno(), data_root, settings)
        try:
            wait_until_ready(address, process, log, ready_seconds, say)
            yield address
        finally:
            _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(
    address: str, state: Path, output: int, data_root: Path, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FITCHECK_")}
    fitcheck = Path(sys.executable).with_name("fitcheck")
    return subprocess.Popen(
        [fitcheck, "serve", "--port", address.rpartition(":")[2], "--data-root", str(data_root)],
        env={**environment, "FITCHECK_STATE_DIR": str(state), "FITCHECK_LOG_FORMAT": "console", **settings},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops the service
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - no threads run yet
    )


def _end_with_parent() -> None:
    """In the child: be asked to stop when the demo dies, however it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_until_ready(
    address: str, process: subprocess.Popen[bytes], log: Path, seconds: float, say: Callable[[str], None]
) -> None:
    """Return as soon as the service can take and do work.

    Raises:
        DemoError: it ended, or was not ready after `seconds`; with the end of its log.
    """
    started = time.monotonic()
    said = started
    while (now := time.monotonic()) < started + seconds:
        if process.poll() is not None:
            raise DemoError("service_ended", f"The service ended with code {process.returncode}:\n{_tail(log)}")
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz", timeout=5).is_success:
                return
        if now >= said + SLOW_SECONDS:
            said = now
            say(f"It is still starting after {now - started:.0f} s: this machine is slow or busy. Waiting on.")
        time.sleep(POLL_SECONDS)
    raise DemoError(
        "service_not_ready",
        f"The service was not ready after {seconds:g} s; for a slower machine, make demo READY_SECONDS={2 * seconds:g}."
        f"\n{_tail(log)}",
    )


def _tail(log: Path, lines: int = 15) -> str:
    said = [line for line in log.read_text(errors="replace").splitlines() if "/readyz" not in line]
    return "\n".join(said[-lines:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(example: str, console: Console, *, keep: bool, ready_seconds: float) -> ExitCode:
    """The whole demo.

    Args:
        example: folder below examples/.
        console: where everything is shown.
        keep: leave the service running until Ctrl-C.
        ready_seconds: how long the service may take to be ready.
    """
    request = request_of(example)
    log = STATE / "service.log"
    with ExitStack() as stack:
        state = stack.enter_context(fresh_state())
        _say(console, f"Starting fitcheck serve; TensorFlow takes some seconds to load (log: {_short(log)})")
        with console.status("loading"):
            service = running_service(state, log, ready_seconds=ready_seconds, say=partial(_say, console))
            address = stack.enter_context(service)
        report = _audit(request, address, console)
        _explain(report, request, console)
        name_the_page(report, console, service=address if keep else None)
        if keep:
            with suppress(KeyboardInterrupt):
                signal.pause()
    return ExitCode.PASSED


def _audit(request: AuditRequest, address: str, console: Console) -> Report:
    """Submit, wait with the progress shown, keep the report as a file, and show it."""
    saved = STATE / "report.json"
    _say(console, f"POST {address}/v1/audits: the model {_short(Path(request.model.uri))} and its two data files")
    with Client(address) as client:
        job = client.submit(request)
        _say(console, f"202 Accepted: {address}{job.links.self}")
        with ProgressDisplay(console) as shown:
            report = client.wait(job.id, shown)
    saved.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_report(report, "html", _page())
    _say(console, f"GET {address}{job.links.self}/report, kept as {_short(saved)}")
    render_report(report, console)
    return report


def _explain(report: Report, request: AuditRequest, console: Console) -> None:
    """What a pipeline would make of the verdict; the demo itself has worked."""
    code = gate(report, request.gate.fail_on)
    if code is not ExitCode.PASSED:
        _say(
            console,
            f"The demo worked. For the verdict {report.verdict!r}, `fitcheck audit` ends with exit code {int(code)}, "
            "so that a pipeline stops this model.",
        )


def name_the_page(report: Report, console: Console, *, service: str | None) -> None:
    """The last lines: an address that a browser opens now, and that a terminal makes a link of.

    Args:
        report: what was found.
        console: where it is said.
        service: the address of the service, where it goes on; without one, the page is a file.
    """
    if service is None:
        _say(console, "To submit audits of your own in a browser, leave the service running: make demo KEEP=1")
        address = _page().as_uri()
    else:
        _say(console, f"The service goes on until Ctrl-C. Submit audits of your own: {service}/audits/new")
        address = f"{service}/audits/{report.audit_id}/report"
    _say(console, f"The report with its figures: {address}")


def _page() -> Path:
    return STATE / "report.html"


def _say(console: Console, words: str) -> None:
    console.print(f"[bold cyan]==>[/] {escape(words)}", highlight=False, soft_wrap=True)


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("example", nargs="?", default=DEFAULT)
    parser.add_argument("--keep", action="store_true", help="leave the service running until Ctrl-C")
    parser.add_argument("--ready-seconds", type=float, default=READY_SECONDS, help="wait this long for the service")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the service is stopped
    console = Console()
    try:
        return run(arguments.example, console, keep=arguments.keep, ready_seconds=arguments.ready_seconds)
    except ProblemError as error:
        render_problem(error.problem, console)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
