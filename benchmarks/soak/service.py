"""The service under test, and what a user asks of it."""

import contextlib
import glob
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from service.jobs.leases import started_at
from service.settings import Settings

FINAL = {"succeeded", "failed", "cancelled"}
SERVE = "from service.settings import Settings; from service.worker.supervisor import run_serve; import sys; "
SERVE += "sys.exit(run_serve(Settings(), evaluator='benchmarks.soak.sleeping'))"


@dataclass
class Service:
    """The service: started again when it was killed.

    Attributes:
        environment: of its processes, beside ours and the settings.
        seen: every process there ever was: its number and its begin.
    """

    settings: Settings
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    seen: set[tuple[int, int]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def start(self) -> None:
        environment = {**os.environ, **self.settings.environment(), **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", SERVE], env=environment, stderr=log, stdout=log)

    def tend(self) -> None:
        """Start it where it does not run, and remember its processes."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        for pid in self.family():
            began = started_at(pid)
            if began is not None:
                self.seen.add((pid, began))

    def family(self) -> list[int]:
        """The supervisor and all below it."""
        children: dict[int, list[int]] = {}
        for name in glob.glob("/proc/[0-9]*/stat"):  # noqa: PTH207 - processes end between listing and reading
            with contextlib.suppress(OSError):
                children.setdefault(_parent(Path(name)), []).append(int(name.split("/")[2]))
        found = [self.process.pid] if self.process is not None else []
        for pid in found:
            found += children.get(pid, [])
        return found

    def kill(self) -> None:
        """End it whatever it does; its processes end with it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=60)

    def left_behind(self) -> list[int]:
        """Processes of any start that still run."""
        time.sleep(1)
        return sorted(pid for pid, began in self.seen if started_at(pid) == began)

    def victims(self, kind: str) -> list[int]:
        """The processes of a kind that run now."""
        return [pid for pid in self.family() if self._kind(pid) == kind]

    def _kind(self, pid: int) -> str:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = _parent(Path(f"/proc/{pid}/stat"))
        except OSError:
            return "gone"
        ours = self.process.pid if self.process is not None else None
        if pid == ours:
            return "supervisor"
        if "service.worker.slot" in command:
            return "slot"
        if "forkserver" in command:
            return "fork server" if parent == ours else "evaluator"
        return "api" if "service api" in command else "other"

    def ask(self, method: str, path: str, deadline: float, **options: Any) -> dict[str, Any]:
        """The answer, as soon as there is one; tried again as a client does who is told to come later.

        Args:
            method: of HTTP.
            path: of the URL.
            deadline: of `time.monotonic`.
            options: for `httpx.request`.

        Raises:
            TimeoutError: there was none until the deadline.
        """
        while True:
            try:
                answer = httpx.request(method, self.url + path, timeout=10, **options)
                if answer.is_success:
                    return dict(answer.json())
                if answer.status_code < 500 and answer.status_code != 429:
                    raise SystemExit(f"{method} {path} was refused: {answer.text}")
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}")
            time.sleep(0.3)

    def submit(self, folder: Path, number: int, seconds: float, deadline: float) -> str:
        """One audit that takes so many seconds, sent until it is taken, under one key."""
        body = {
            "model": {"uri": str(folder / "model")},
            "data": {
                "train": {"uri": str(folder / "train.csv")},
                "validation": {"uri": str(folder / "validation.csv")},
                "label": "benign",
            },
            "tags": {"number": str(number), "seconds": f"{seconds:.2f}"},
        }
        headers = {"Idempotency-Key": f"n{number}"}
        return str(self.ask("POST", "/v1/audits", deadline, json=body, headers=headers)["id"])

    def wait(self, audit_id: str, deadline: float) -> dict[str, Any]:
        """The audit in the end, or as it is at the deadline."""
        while True:
            job = self.ask("GET", f"/v1/audits/{audit_id}", deadline)
            if job["status"] in FINAL or time.monotonic() > deadline:
                return job
            time.sleep(1)


def _parent(stat: Path) -> int:
    """From a `/proc/PID/stat`, whose second field, in brackets, may hold anything."""
    return int(stat.read_text().rpartition(")")[2].split()[1])
