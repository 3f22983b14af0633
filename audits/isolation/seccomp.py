"""seccomp: a filter in the kernel that refuses system calls by their number and arguments.

The program is classic BPF over `struct seccomp_data` (linux/seccomp.h). Calls that the list does not name pass, but
for those that are newer than the list.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from audits.isolation.kernel import syscall

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_SET_MODE_FILTER, _ACTION_AVAILABLE, _TSYNC = 1, 2, 1
_X32 = 0x40000000
_CLONE_THREAD, _TIOCSTI = 0x10000, 0x5412
_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW... of linux/sched.h
NEWEST_KNOWN = 470  # file_setattr of Linux 6.17; newer calls exist on no kernel that this was written for

Profile = Literal["model", "evaluator"]


@dataclass(frozen=True)
class _Machine:
    """Numbers of one architecture: x86-64 and AArch64 number calls before 424 their own way."""

    audit: int
    seccomp: int
    numbers: Mapping[str, int]


def _table(text: str, column: int) -> dict[str, int]:
    rows = (line.split() for line in text.strip().splitlines())
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


# name, x86-64, AArch64 ("-": there is none)
_CALLS = """
socket 41 198
connect 42 203
bind 49 200
listen 50 201
accept 43 202
accept4 288 242
execve 59 221
execveat 322 281
fork 57 -
vfork 58 -
clone 56 220
clone3 435 435
ptrace 101 117
process_vm_readv 310 270
process_vm_writev 311 271
process_madvise 440 440
process_mrelease 448 448
pidfd_open 434 434
pidfd_getfd 438 438
pidfd_send_signal 424 424
kill 62 129
tkill 200 130
tgkill 234 131
rt_sigqueueinfo 129 138
rt_tgsigqueueinfo 297 240
prlimit64 302 261
mount 165 40
umount2 166 39
pivot_root 155 41
chroot 161 51
open_tree 428 428
move_mount 429 429
fsopen 430 430
fsconfig 431 431
fsmount 432 432
fspick 433 433
mount_setattr 442 442
open_tree_attr 467 467
unshare 272 97
setns 308 268
bpf 321 280
perf_event_open 298 241
io_uring_setup 425 425
io_uring_enter 426 426
io_uring_register 427 427
userfaultfd 323 282
keyctl 250 219
add_key 248 217
request_key 249 218
name_to_handle_at 303 264
open_by_handle_at 304 265
memfd_create 319 279
memfd_secret 447 447
chmod 90 -
fchmod 91 52
fchmodat 268 53
fchmodat2 452 452
chown 92 -
fchown 93 55
lchown 94 -
fchownat 260 54
setxattr 188 5
lsetxattr 189 6
fsetxattr 190 7
removexattr 197 14
lremovexattr 198 15
fremovexattr 199 16
setxattrat 463 463
removexattrat 466 466
file_setattr 469 469
setuid 105 146
setgid 106 144
setreuid 113 145
setregid 114 143
setresuid 117 147
setresgid 119 149
setgroups 116 159
setfsuid 122 151
setfsgid 123 152
capset 126 91
mknod 133 -
mknodat 259 33
symlink 88 -
symlinkat 266 36
link 86 -
linkat 265 37
shmget 29 194
shmat 30 196
shmctl 31 195
msgget 68 186
semget 64 190
mq_open 240 180
fanotify_init 300 262
personality 135 92
kexec_load 246 104
kexec_file_load 320 294
init_module 175 105
finit_module 313 273
delete_module 176 106
reboot 169 142
swapon 167 224
swapoff 168 225
sethostname 170 161
setdomainname 171 162
settimeofday 164 170
clock_settime 227 112
adjtimex 159 171
clock_adjtime 305 266
acct 163 89
syslog 103 116
quotactl 179 60
iopl 172 -
ioperm 173 -
ioctl 16 29
"""

_MACHINES = {
    "x86_64": _Machine(0xC000003E, 317, _table(_CALLS, 1)),
    "aarch64": _Machine(0xC00000B7, 277, _table(_CALLS, 2)),
}
_NETWORK = frozenset({"socket", "connect", "bind", "listen", "accept", "accept4"})
# Some calls are refused by their arguments alone.
_BY_ARGUMENT = frozenset({"clone", "ioctl", "prlimit64", "kill", "tgkill"})
_MAKE_PROCESSES = frozenset({"fork", "vfork", "clone"})
# An evaluator starts and ends its model's process; Landlock confines whom it can signal.
_OF_PARENTS = _MAKE_PROCESSES | {"kill", "tgkill", "tkill"}


class _Program:
    """Instructions of classic BPF."""

    def __init__(self) -> None:
        self.code = bytearray()

    def add(self, operation: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        self.code += struct.pack("<HBBI", operation, if_true, if_false, value)

    def refuse(self, number: int, answer: int) -> None:
        self.add(_EQUAL, number, 0, 1)
        self.add(_RETURN, answer)

    def refuse_where(self, number: int, argument: int, test: int, value: int, *, matching: bool, answer: int) -> None:
        """Refuse a call if the lower half of an argument passes the test, or fails it; let it pass otherwise."""
        self.add(_EQUAL, number, 0, 4)
        self.add(_LOAD, _FIRST_ARGUMENT + 8 * argument)
        self.add(test, value, *((0, 1) if matching else (1, 0)))
        self.add(_RETURN, answer)
        self.add(_RETURN, _ALLOW)


def is_available() -> bool:
    """Whether a filter can be set here: the kernel offers it, and we know this machine's numbers."""
    here = _MACHINES.get(platform.machine())
    if here is None:
        return False
    try:
        syscall(here.seccomp, _ACTION_AVAILABLE, 0, ctypes.byref(ctypes.c_uint32(_ERRNO)))
    except OSError:
        return False
    return True


def install(profile: Profile, *, network: bool = False, gpu: bool = False) -> None:
    """Filter the calls of every thread of this process and of all that it starts, for good.

    Args:
        profile: an evaluator may start processes and end them.
        network: whether sockets may be opened.
        gpu: NVIDIA's driver makes anonymous files.

    Raises:
        OSError: the kernel refuses, or the architecture is not known.
    """
    here = _MACHINES.get(platform.machine())
    if here is None:
        raise OSError(f"no numbers of system calls for {platform.machine()}")
    passed = (_OF_PARENTS if profile == "evaluator" else frozenset()) | (_NETWORK if network else frozenset())
    code = _assemble(here, passed | ({"memfd_create"} if gpu else frozenset()))
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(instructions))
    if syscall(here.seccomp, _SET_MODE_FILTER, _TSYNC, ctypes.c_char_p(program)) != 0:
        raise OSError("a thread of this process cannot be filtered")


def _assemble(here: _Machine, passed: frozenset[str]) -> bytes:
    program = _Program()
    program.add(_LOAD, _ARCHITECTURE)
    program.add(_EQUAL, here.audit, 1, 0)
    program.add(_RETURN, _KILL)
    program.add(_LOAD, _NUMBER)
    if here is _MACHINES["x86_64"]:
        program.add(_AT_LEAST, _X32, 0, 1)
        program.add(_RETURN, _KILL)
    program.add(_AT_LEAST, NEWEST_KNOWN + 1, 0, 1)
    program.add(_RETURN, _ERRNO | errno.ENOSYS)
    for name, number in here.numbers.items():
        if name not in passed and name not in _BY_ARGUMENT:
            program.refuse(number, _ERRNO | _answer(name))
    for name, argument, test, value, matching in _arguments(passed):
        number = here.numbers[name]
        program.refuse_where(number, argument, test, value, matching=matching, answer=_ERRNO | errno.EPERM)
    program.add(_RETURN, _ALLOW)
    return bytes(program.code)


def _arguments(passed: frozenset[str]) -> Iterator[tuple[str, int, int, int, bool]]:
    """Call, argument, test, value, and whether the call is refused where the test holds or where it does not."""
    own = os.getpid()
    yield "prlimit64", 0, _EQUAL, 0, False
    if "clone" in passed:
        yield "clone", 0, _ANY_BIT, _NEW_NAMESPACES, True
    else:
        yield "clone", 0, _ANY_BIT, _CLONE_THREAD, False
        yield "kill", 0, _EQUAL, own, False
        yield "tgkill", 0, _EQUAL, own, False
    yield "ioctl", 1, _EQUAL, _TIOCSTI, True


def _answer(name: str) -> int:
    if name == "clone3":
        return errno.ENOSYS  # its flags lie in memory; the C library falls back to clone
    return errno.EACCES if name in _NETWORK else errno.EPERM
