"""How much memory there is, and how much a process holds."""

import os
from contextlib import suppress
from pathlib import Path

_CONTROL_GROUP = Path("/sys/fs/cgroup")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SHARE = 0.8  # of what is free
_LEAST_BYTES = 2 * 2**30  # TensorFlow alone takes a third of it


def model_limit() -> int:
    """Bytes that a model's process may hold: most of what is free now, in the machine and in the container."""
    free = [value for value in (_available(), _left_in_group()) if value is not None]
    return max(_LEAST_BYTES, int(_SHARE * min(free, default=0)))


def own_limit() -> int:
    """Bytes that this process may hold: what it holds now, and most of what is free."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * _PAGE_BYTES + model_limit()


def held_by(pid: int) -> int:
    """Bytes of memory that a process holds alone or shares; 0 where it has ended."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return resident * _PAGE_BYTES


def _available() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _left_in_group() -> int | None:
    with suppress(OSError, ValueError):
        return int((_CONTROL_GROUP / "memory.max").read_text()) - int((_CONTROL_GROUP / "memory.current").read_text())
    return None  # "max", or no group of its own
