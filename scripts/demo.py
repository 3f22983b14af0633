"""Audits an example through the HTTP API: starts the service, submits, waits, and shows what came back.

Usage: python -m scripts.demo [EXAMPLE], with the name of a folder below examples/ that holds a request.json.
Exits with 1 when the verdict is `fail`, as `fitcheck audit` does.
"""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from rich.progress import Progress

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
STATE = ROOT / ".demo"
DEFAULT = "wrong_scaling"
READY_SECONDS = 120.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1
FINISHED = {"succeeded", "failed", "cancelled"}


class DemoError(Exception):
    """The demo cannot go on; says why."""


def absolute(body: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The request with every relative address below a `uri` made absolute, from the folder of its file."""

    def walk(value: Any, key: str | None = None) -> Any:
        if isinstance(value, Mapping):
            return {name: walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item, key) for item in value]
        if key == "uri" and isinstance(value, str) and "://" not in value:
            return Path(os.path.normpath(folder.resolve() / value)).as_uri()
        return value

    return {name: walk(item, name) for name, item in body.items()}


def request_of(example: str) -> dict[str, Any]:
    """The request that stands in an example's folder.

    Raises:
        DemoError: there is no such example; names those that there are.
    """
    path = EXAMPLES / example / "request.json"
    if not path.is_file():
        known = ", ".join(sorted(str(p.parent.relative_to(EXAMPLES)) for p in EXAMPLES.rglob("request.json")))
        raise DemoError(f"there is no example {example!r}; choose one of {known}")
    return absolute(json.loads(path.read_text(encoding="utf-8")), path.parent)


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
    """Hold the folder for this process. The flag is False where a living demo holds it; locks die with processes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_service(state: Path, log: Path) -> Iterator[str]:
    """`fitcheck serve` on its embedded default; gives its address, and stops it at the end."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FITCHECK_")}
    environment["FITCHECK_STATE_DIR"] = str(state)
    fitcheck = Path(sys.executable).with_name("fitcheck")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [fitcheck, "serve", "--port", str(port), "--data-root", str(EXAMPLES)],
            env=environment,
            cwd=state,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops the service
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - no threads run before the service is started
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


def _end_with_parent() -> None:
    """In the child: be asked to stop when the demo dies, however it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"the service ended with code {process.returncode}:\n{_tail(log)}")
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                return
        time.sleep(POLL_SECONDS)
    raise DemoError(f"the service was not ready within {READY_SECONDS:.0f} s:\n{_tail(log)}")


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def submit(client: httpx.Client, body: Mapping[str, Any]) -> str:
    """POST the audit; its address.

    Raises:
        DemoError: the request was refused; says why.
    """
    response = client.post("/v1/audits", json=body)
    if response.status_code != 202:
        raise DemoError(f"the request was refused ({response.status_code}): {response.text}")
    return response.headers["location"]


def follow(client: httpx.Client, location: str, bar: Progress) -> dict[str, Any]:
    """Show the job's progress until it is finished; the finished job."""
    task = bar.add_task("queued", total=1.0)
    while True:
        job: dict[str, Any] = client.get(location).raise_for_status().json()
        progress = job["progress"]
        words = " ".join(part for part in (progress["stage"], progress["detail"]) if part)
        bar.update(task, completed=progress["fraction"], description=words)
        if job["status"] in FINISHED:
            bar.update(task, completed=1.0, description=job["status"])
            return job
        time.sleep(POLL_SECONDS)
