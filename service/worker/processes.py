"""Ends of processes, chosen."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_group(leader: int) -> None:
    """Kill a process and all of its group. Call before the leader is waited for: its number is still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(leader, signal.SIGKILL)


def sacrifice_first() -> None:
    """Tell the kernel to end this process before the service's others when memory runs out; a model's goes first."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
