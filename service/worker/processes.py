"""What Python does not say about Linux processes."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends.

    Args:
        parent: the process that must be the parent; when it is gone already, this one ends here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def kill_group(leader: int) -> None:
    """Kill a process and all of its group. Call before the leader is waited for: its number is still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(leader, signal.SIGKILL)


def sacrifice_first() -> None:
    """Tell the kernel to end this process before the service's others when memory runs out; a model's goes first."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
