"""Calls to the Linux kernel that Python does not offer."""

import ctypes
import os
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path

_CAPABILITY_VERSION = 0x20080522  # linux/capability.h
_READ_ANY_FILE = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: object) -> int:
    """A raw system call.

    Args:
        number: of the call on this machine's architecture.
        arguments: integers, pointers, bytes.

    Raises:
        OSError: the kernel refused it.
    """
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    answer = int(_libc.syscall(ctypes.c_long(number), *passed))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def prctl(option: int, value: int) -> None:
    """Set a property of this process.

    Raises:
        OSError: the kernel does not know it, or refuses.
    """
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends.

    Args:
        parent: the process that must be the parent; when it is gone already, this one ends here.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def sacrifice(score: int) -> None:
    """Have the kernel end this process before those of lower scores when memory runs out.

    Args:
        score: up to 1000; a model's process goes before its evaluator, and that before the service's others.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score))


def hide() -> None:
    """Keep other processes of this user, such as those that run models, from our memory and environment."""
    prctl(PR_SET_DUMPABLE, 0)


def drop_capabilities() -> None:
    """Give up what root may do, but for files of others: which of them are open, Landlock says.

    A process that keeps CAP_PERFMON may look into any other, whatever confines it.

    Raises:
        OSError: the kernel refused.
    """
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    found = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; twice
    if _libc.capget(header, found) != 0:
        raise OSError(ctypes.get_errno(), "capget failed")
    kept = struct.unpack("<6I", found.raw)[1] & _READ_ANY_FILE
    if _libc.capset(header, struct.pack("<6I", kept, kept, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset failed")
