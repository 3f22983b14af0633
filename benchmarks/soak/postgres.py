"""A PostgreSQL cluster of our own, to be stopped and broken."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.demo import free_port


class Cluster:
    """A cluster in a folder; needs `initdb` and `pg_ctl`.

    Args:
        folder: to make it in.
        environment: of the server, beside ours.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder / "cluster"
        self._environment = {**os.environ, **environment}
        self._port = free_port()
        self._programs = _programs()
        self._folder.mkdir()
        # The server refuses to run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            folder.chmod(0o755)
            shutil.chown(self._folder, "postgres", "postgres")
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def cut(self) -> None:
        """Stop it as a power cut does."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def restart(self) -> None:
        self.cut()
        self.start()

    def outage(self, seconds: float) -> None:
        self.cut()
        time.sleep(seconds)
        self.start()

    def revive(self) -> None:
        """Start it where it gave up, as the operator's machine would."""
        if self._call("pg_ctl", "status") != 0:
            self.start()

    def _run(self, program: str, *options: str) -> None:
        if self._call(program, *options) != 0:
            raise RuntimeError(f"{program} {options[-1]} failed: see {self._folder / 'log'}")

    def _call(self, program: str, *options: str) -> int:
        command = [*self._as_user, str(self._programs / program), "-D", str(self._folder), *options]
        quiet = subprocess.DEVNULL
        done = subprocess.run(command, check=False, stdout=quiet, stderr=quiet, cwd="/", env=self._environment)
        return done.returncode


@contextmanager
def cluster(folder: Path, environment: dict[str, str]) -> Iterator[Cluster]:
    """A cluster that runs, and is gone afterwards."""
    made = Cluster(folder, environment)
    made.start()
    try:
        yield made
    finally:
        made.cut()


def _programs() -> Path:
    """Where Debian keeps the server's programs, or where PATH leads."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise SystemExit("initdb is not installed: apt-get install postgresql, or --database sqlite")
    return found[-1] if found else Path(str(on_path)).parent
