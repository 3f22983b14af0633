"""What this machine, or the container that we run in, gives us."""

import os
from pathlib import Path

# Of our own control group, as a container sees it (https://docs.kernel.org/admin-guide/cgroup-v2.html).
_CGROUP = Path("/sys/fs/cgroup")


def cores(cgroup: Path = _CGROUP) -> int:
    """Whole cores that we may keep busy, at least one: a container sees all of its node's."""
    allowed = len(os.sched_getaffinity(0))
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        allowed = min(allowed, int(quota) // int(period))
    return max(1, allowed)


def memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory that we may fill before something of ours is killed."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(cgroup / "memory.max")
    return min(installed, int(limit)) if limit.isdecimal() else installed


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
