"""Ends of processes, chosen."""

import os
import signal
from contextlib import suppress


def kill_group(leader: int) -> None:
    """Kill a process and all of its group. Call before the leader is waited for: its number is still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(leader, signal.SIGKILL)
