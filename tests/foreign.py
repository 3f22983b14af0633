"""The Python of an environment that holds a library too heavy for ours, or at odds with it.

`tests/environments/NAME.txt` pins what is in it; the command that wrote it stands on its top. Made on first use, below
`.cache/`, anew where the pins have changed.
"""

import fcntl
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINS = ROOT / "tests" / "environments"
MADE = ROOT / ".cache" / "environments"
UV = ROOT / ".uv" / "bin" / "uv"
MAKE_SECONDS = 900


def python_of(name: str, version: str = "3.11") -> Path:
    """The interpreter of the environment.

    Args:
        name: of the pins.
        version: of Python; another than those that the project supports may be missing, and then the test is skipped.
    """
    pins, environment = (PINS / f"{name}.txt").read_text("utf-8"), MADE / name
    python, finished = environment / "bin" / "python", environment / "pins.txt"
    MADE.mkdir(parents=True, exist_ok=True)
    with (MADE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.is_file() or finished.read_text("utf-8") != pins:
            _must("venv", "--quiet", "--clear", "--python", _interpreter(version), environment)
            _must("pip", "install", "--quiet", "--python", python, "--requirement", PINS / f"{name}.txt")
            finished.write_text(pins, "utf-8")
    return python


def _interpreter(version: str) -> str:
    """Where uv finds this Python, or pyenv keeps it."""
    found = _uv("python", "find", version)
    if found.returncode == 0:
        return found.stdout.strip()
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    if not kept:
        pytest.skip(f"no Python {version} is installed: {UV} python install {version}")
    return str(kept[-1])


def _must(*command: object) -> None:
    done = _uv(*command)
    assert done.returncode == 0, f"the environment could not be made: {done.stderr[-3000:]}"


def _uv(*command: object) -> subprocess.CompletedProcess[str]:
    told = [str(word) for word in (UV, *command)]
    return subprocess.run(told, capture_output=True, text=True, timeout=MAKE_SECONDS, check=False, cwd=MADE)
