"""The cage of one process: what it may still reach, and the order in which everything else is closed."""

import json
import logging
import os
import resource
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audits.isolation import attempts, kernel, landlock, runtime, seccomp
from audits.isolation.seccomp import Profile
from schemas.isolation import Isolation, Level, Sandbox

Layer = str
LAYERS: frozenset[Layer] = frozenset({"landlock", "seccomp", "limits"})
FULL_ABI = 4  # the network is closed twice
OPEN_FILES = 1024
DATA_HEADROOM = 1.25  # the watcher, which can say why, comes before the kernel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cage:
    """What a process may reach.

    Attributes:
        scratch: the only folder that it may write; its home.
        read: files, and folders with all in them, besides the interpreter and its libraries.
        profile: a model starts no process.
        network: whether it may open sockets.
        gpu: whether it uses an NVIDIA device.
        memory_bytes: that it may hold; None: all there is.
        file_bytes: that a file may grow to; None: no limit.
        sandbox: "off" leaves the process as it is.
        layers: the tests switch some off, to see that each holds alone.
    """

    scratch: Path
    read: tuple[Path, ...] = ()
    profile: Profile = "model"
    network: bool = False
    gpu: bool = False
    memory_bytes: int | None = None
    file_bytes: int | None = None
    sandbox: Sandbox = "auto"
    layers: frozenset[Layer] = LAYERS

    def to_json(self) -> str:
        """For a process that is started, not forked."""
        paths = {"scratch": str(self.scratch), "read": [str(path) for path in self.read]}
        return json.dumps({**self.__dict__, **paths, "layers": sorted(self.layers)})

    @classmethod
    def from_json(cls, text: str) -> "Cage":
        values: dict[str, Any] = json.loads(text)
        paths = {"scratch": Path(values["scratch"]), "read": tuple(map(Path, values["read"]))}
        return cls(**{**values, **paths, "layers": frozenset(values["layers"])})


def enter(cage: Cage) -> Isolation:
    """Lock this process in, for good, and try whether it holds.

    Call it before any byte of what is not trusted is used, and while there is one thread.
    """
    if cage.sandbox == "off":
        return Isolation(missing=["switched off"])
    parent_memory = attempts.parent_memory()
    _become_poor(cage)
    if "limits" in cage.layers:
        _limit(cage)
    missing: list[str] = []
    with suppress(OSError):
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.drop_capabilities()
    abi = _close_files(cage, missing) if "landlock" in cage.layers else 0
    is_filtered = _filter_calls(cage, missing) if "seccomp" in cage.layers else False
    succeeded = attempts.that_succeed(cage.profile, cage.scratch, parent_memory, network=cage.network)
    return Isolation(
        level=_level(abi, is_filtered, succeeded),
        landlock_abi=abi,
        seccomp=is_filtered,
        network="allowed" if cage.network or attempts.NETWORK & set(succeeded) else "denied",
        memory_bytes=cage.memory_bytes,
        gpu_profile=cage.gpu,
        missing=[*missing, *succeeded],
    )


def _become_poor(cage: Cage) -> None:
    """Nothing of the environment that could be a secret; every temporary file in the scratch folder."""
    poor = runtime.without_secrets(os.environ, cage.scratch)
    for name in set(os.environ) - poor.keys():
        del os.environ[name]
    os.environ.update(poor)
    tempfile.tempdir = str(cage.scratch)
    os.umask(0o077)
    os.chdir(cage.scratch)


def _limit(cage: Cage) -> None:
    limits: Mapping[int, int | None] = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_FSIZE: cage.file_bytes,
        # CUDA reserves more addresses than it uses
        resource.RLIMIT_DATA: None if cage.memory_bytes is None or cage.gpu else int(cage.memory_bytes * DATA_HEADROOM),
    }
    for kind, most in limits.items():
        if most is not None:
            _, hard = resource.getrlimit(kind)
            lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (lower, lower))


def _close_files(cage: Cage, missing: list[str]) -> int:
    try:
        return landlock.restrict(_rules(cage), network=cage.network)
    except OSError as error:
        log.warning("Landlock is not available: %s", error)
        missing.append("landlock")
        return 0


def _rules(cage: Cage) -> Iterator[tuple[Path, int]]:
    yield from runtime.runtime()
    if cage.gpu:
        yield from runtime.gpu()
    if cage.profile == "evaluator":
        # It watches the memory of its model's process. The memory and the environment of others stay closed: to look
        # into a process is an act of its own, which Landlock confines to what we started.
        yield Path("/proc"), landlock.READ
    yield from ((path, landlock.READ) for path in cage.read)
    yield cage.scratch, landlock.READ_WRITE


def _filter_calls(cage: Cage, missing: list[str]) -> bool:
    try:
        seccomp.install(cage.profile, network=cage.network, gpu=cage.gpu)
    except OSError as error:
        log.warning("seccomp is not available: %s", error)
        missing.append("seccomp")
        return False
    return True


def _level(abi: int, is_filtered: bool, succeeded: Iterable[str]) -> Level:
    """An act that should have failed counts more than a layer that is there."""
    if abi and is_filtered and not list(succeeded):
        return "full" if abi >= FULL_ABI else "strong"
    return "weak" if abi or is_filtered else "none"
