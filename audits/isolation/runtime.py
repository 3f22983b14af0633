"""What Python, TensorFlow and a GPU's driver read on the machine, as rules for Landlock."""

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from audits.isolation.landlock import DEVICE, READ, READ_FILE, WRITE_FILE, WRITE_IN_PLACE

Rule = tuple[Path, int]

OURS = ("audits", "schemas", "service")
_SYSTEM = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", "/dev/random"),
    # TensorFlow asks for the processor's abilities, and ends itself where it cannot read its own command line.
    *(
        "/proc/self/cmdline",
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/proc/stat",
        "/sys/devices/system/cpu",
        "/sys/fs/cgroup",
    ),
)
_KEPT_VARIABLES = frozenset({"PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV"})
_KEPT_PREFIXES = ("TF_", "XLA_", "CUDA_", "NVIDIA_", "OMP_", "KERAS_BACKEND", "PYTHONUNBUFFERED")


def runtime() -> list[Rule]:
    """What an interpreter with our libraries reads, and nothing of a user's."""
    readable = [(Path(path), READ) for path in (*_SYSTEM, *_python())]
    return [*readable, (Path("/dev/null"), READ_FILE | WRITE_FILE)]


def gpu() -> list[Rule]:
    """What NVIDIA's driver reads, and the devices."""
    devices = [Path("/dev/nvidiactl"), Path("/dev/nvidia-uvm"), Path("/dev/nvidia-uvm-tools"), Path("/dev/nvidia-caps")]
    read = ("/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/sys/bus/pci/devices", "/sys/devices", "/usr/local/cuda")
    return [
        *((device, DEVICE) for device in (*devices, *Path("/dev").glob("nvidia[0-9]*"))),
        *((Path(path), READ) for path in read),
        # The driver names its threads; opening a file to write it anew stays closed.
        (Path("/proc/self/task"), WRITE_IN_PLACE),
    ]


def has_gpu(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a process of this environment would see an NVIDIA device."""
    is_hidden = environment.get("CUDA_VISIBLE_DEVICES", "0") in {"", "-1"}
    return not is_hidden and Path("/dev/nvidiactl").exists()


def without_secrets(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """What of an environment a model may see."""
    kept = {
        name: value for name, value in environment.items() if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, "HOME": str(home), "TMPDIR": str(home), "KERAS_HOME": str(home)}


def _python() -> Iterator[str]:
    """Interpreter and libraries. What else stands on the path of imports, such as the folder of a project, may hold a
    user's files: of it, our own packages alone are opened.
    """
    yield from {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    yield from (str(Path(prefix, "lib")) for prefix in (sys.prefix, sys.base_prefix) if len(Path(prefix).parts) > 2)
    yield from (str(Path(sys.prefix, "pyvenv.cfg")), sys.executable, str(Path(sys.executable).resolve()))
    yield from (*site.getsitepackages(), site.getusersitepackages())
    yield from (path for path in sys.path if path and _is_library(Path(path)))
    yield from _folders_of(OURS)


def _is_library(path: Path) -> bool:
    if path.name in {"site-packages", "dist-packages"} or path.suffix == ".zip":
        return True
    try:
        return any(name.endswith(".dist-info") for name in os.listdir(path))  # noqa: PTH208 - names alone
    except OSError:
        return False  # what cannot be read now need not be opened


def _folders_of(packages: Iterable[str]) -> Iterator[str]:
    for package in packages:
        found = find_spec(package)
        yield from (found.submodule_search_locations or ()) if found is not None else ()
