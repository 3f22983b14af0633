"""What Python does not say about Linux processes."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends.

    Args:
        parent: the process that must be the parent; when it is gone already, this one ends here.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def hide() -> None:
    """Keep other processes of this user, such as those that run models, from our memory and environment."""
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def kill_group(leader: int) -> None:
    """Kill a process and all of its group. Call before the leader is waited for: its number is still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(leader, signal.SIGKILL)


def sacrifice_first() -> None:
    """Tell the kernel to end this process before the service's others when memory runs out; a model's goes first."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
