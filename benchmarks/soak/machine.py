"""A disk that can be filled and a clock that can be turned, for the service under test alone."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

DISK_BYTES = 1 << 30
SOURCE = Path(__file__).with_name("turned_clock.c")
EXAMPLE = Path(__file__).parents[2] / "examples" / "wrong_scaling"


@contextmanager
def disk() -> Iterator[Path]:
    """A small file system with what the requests name: the API looks at it, though nothing evaluates it.

    Only root may mount one; to anybody else it is a folder of the machine's disk.
    """
    with tempfile.TemporaryDirectory(prefix="fitcheck-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "fitcheck-soak", name]
        made = subprocess.run(mount, check=False, stderr=subprocess.DEVNULL) if os.geteuid() == 0 else None
        is_mounted = made is not None and made.returncode == 0
        try:
            shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
            yield folder
        finally:
            if is_mounted:
                subprocess.run(["umount", "--lazy", name], check=True)


def fill(folder: Path, seconds: float) -> None:
    """Leave no byte free on the folder's file system for a time."""
    ballast = folder / "ballast"
    deadline = time.monotonic() + seconds
    try:
        with ballast.open("wb", buffering=0) as file:
            while time.monotonic() < deadline:
                try:
                    file.write(bytes(1 << 20))
                except OSError:  # full; what others free meanwhile is taken too
                    time.sleep(0.1)
    finally:
        ballast.unlink()


class Clock:
    """The clock that processes see which were started with `environment`; needs a C compiler.

    Args:
        folder: for what it is made of.
    """

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "clock"
        self._library = folder / "turned_clock.so"
        self.turn(0)
        self._offset.chmod(0o644)
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE), "-ldl"]
        compiler = shutil.which("cc")
        self.is_ours = compiler is not None and subprocess.run(command, check=False).returncode == 0

    @property
    def environment(self) -> dict[str, str]:
        if not self.is_ours:
            return {}
        return {"LD_PRELOAD": str(self._library), "FITCHECK_SOAK_CLOCK": str(self._offset)}

    def jump(self, rng: Random, seconds: int) -> None:
        """Put it so far before or behind the machine's, or right."""
        self.turn(rng.choice([-seconds, 0, seconds]))

    def turn(self, seconds: int) -> None:
        """In place: the processes have the file in their memory."""
        with self._offset.open("r+b" if self._offset.exists() else "wb", buffering=0) as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
