"""Landlock: the kernel lets this process, and all that it starts, open nothing but what is listed.

Numbers and structures of linux/landlock.h; the three system calls have the same numbers on every architecture. Newer
kernels handle more rights; every right that the kernel knows is handled here, and so denied where no rule grants it.
https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from audits.isolation.kernel import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
# How many rights each version knows, from the lowest bit on.
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK = 0b11  # bind and connect of TCP
_SCOPES = 0b11  # abstract Unix sockets and signals
NETWORK_ABI, SCOPE_ABI = 4, 6

READ = READ_FILE | READ_DIR
# Checkpoints are written under another name and moved; without REFER, nothing moves between folders.
READ_WRITE = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEV
WRITE_IN_PLACE = READ | WRITE_FILE
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV


def abi() -> int:
    """The version that the kernel offers; 0 where it offers none, or a filter denies it."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(rules: Iterable[tuple[Path, int]], *, network: bool) -> int:
    """Close everything but the rules to this thread and what it starts, for good.

    Threads that run already are not restricted: call it while there is one. `no_new_privs` must be set.

    Args:
        rules: a file, or a folder with all in it, and the rights to it. What does not exist is left out, which closes
            it.
        network: whether TCP stays open.

    Returns:
        The version of Landlock.

    Raises:
        OSError: the kernel refuses.
    """
    version = abi()
    if version < 1:
        raise OSError("this kernel has no Landlock")
    handled = (1 << _RIGHTS_OF_ABI[min(version, max(_RIGHTS_OF_ABI))]) - 1
    closed_network = _NETWORK if version >= NETWORK_ABI and not network else 0
    scopes = _SCOPES if version >= SCOPE_ABI else 0
    size = 24 if version >= SCOPE_ABI else 16 if version >= NETWORK_ABI else 8
    attributes = struct.pack("<QQQ", handled, closed_network, scopes)[:size]
    ruleset = syscall(_CREATE_RULESET, ctypes.c_char_p(attributes), size, 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        if rights:
            rule = struct.pack("<Qi", rights, descriptor)
            syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(descriptor)
