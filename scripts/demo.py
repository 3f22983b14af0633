"""Audits an example through the HTTP API: starts the service, submits, waits, and shows what came back.

Usage: python -m scripts.demo [EXAMPLE] [--keep], with the name of a folder of examples/ that holds a request.json.
Exits as `fitcheck audit` does: with 1 when the verdict is `fail`.
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

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
READY_SECONDS = 120.0
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
def running_service(state: Path, log: Path, data_root: Path = EXAMPLES, **settings: str) -> Iterator[str]:
    """`fitcheck serve` on its embedded default; gives its address, and stops it at the end.

    `settings` are further environment variables.
    """
    address = f"http://127.0.0.1:{free_port()}"
    with log.open("wb") as output:
        process = _start(address, state, output.fileno(), data_root, settings)
        try:
            _wait_until_ready(address, process, log)
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
        env=environment | {"FITCHECK_STATE_DIR": str(state), "FITCHECK_LOG_FORMAT": "console", **settings},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops the service
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - no threads run yet
    )


def _end_with_parent() -> None:
    """In the child: be asked to stop when the demo dies, however it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError("service_ended", f"The service ended with code {process.returncode}:\n{_tail(log)}")
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz", timeout=5).is_success:
                return
        time.sleep(POLL_SECONDS)
    raise DemoError("service_not_ready", f"The service was not ready after {READY_SECONDS:.0f} s:\n{_tail(log)}")


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


def run(example: str, console: Console, *, keep: bool) -> ExitCode:
    """The whole demo.

    Args:
        example: folder below examples/.
        console: where everything is shown.
        keep: leave the service running until Ctrl-C.
    """
    request = request_of(example)
    log = STATE / "service.log"
    with ExitStack() as stack:
        state = stack.enter_context(fresh_state())
        _say(console, f"Starting fitcheck serve; TensorFlow takes some seconds to load (log: {_short(log)})")
        with console.status("loading"):
            address = stack.enter_context(running_service(state, log))
        report = _audit(request, address, console)
        _explain(report, request, console)
        if keep:
            page = f"{address}/v1/audits/{report.audit_id}/report"
            _say(console, f"The service goes on; the report's page is {page}. Ctrl-C ends it")
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
    page = saved.with_suffix(".html")
    write_report(report, "html", page)
    _say(console, f"GET {address}{job.links.self}/report, kept as {_short(saved)}")
    render_report(report, console)
    _say(console, f"The same as a page, with figures: open {_short(page)} in a browser")
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


def _say(console: Console, words: str) -> None:
    console.print(f"[bold cyan]==>[/] {escape(words)}", highlight=False, soft_wrap=True)


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("example", nargs="?", default=DEFAULT)
    parser.add_argument("--keep", action="store_true", help="leave the service running until Ctrl-C")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the service is stopped
    console = Console()
    try:
        return run(arguments.example, console, keep=arguments.keep)
    except ProblemError as error:
        render_problem(error.problem, console)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
