"""scripts/setup.sh in a scratch checkout, with a stand-in for uv that records how it was called."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = """#!/usr/bin/env bash
case "$1" in
  --version) echo "uv {version}" ;;
  sync)
    echo "$@" >>calls
    mkdir -p .venv/bin
    ln -sf {python} .venv/bin/python
    [[ -e refuse ]] && exit 1
    printf '#!/bin/sh\\n' >.venv/bin/fitcheck
    chmod +x .venv/bin/fitcheck ;;
esac
"""


@dataclass(frozen=True)
class Checkout:
    folder: Path

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["scripts/setup.sh"],
            check=False,
            cwd=self.folder,
            env={**os.environ, "FITCHECK_PYTHON": sys.executable, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def syncs(self) -> int:
        calls = self.folder / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/setup.sh", tmp_path / "scripts/setup.sh")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "uv.lock").write_text("version = 1\n")
    script = (tmp_path / "scripts/setup.sh").read_text()
    version = script.split("UV_VERSION=")[1].splitlines()[0]
    uv = tmp_path / ".uv/bin/uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(STAND_IN.format(version=version, python=sys.executable))
    uv.chmod(0o755)
    return Checkout(tmp_path)


def test_installs_the_locked_packages_and_says_so(checkout: Checkout) -> None:
    result = checkout.setup()

    assert result.returncode == 0, result.stderr
    assert "Ready" in result.stdout
    assert "\033" not in result.stdout  # no colours where nobody watches,
    assert "sync --quiet --frozen --extra cpu" in (checkout.folder / "calls").read_text()  # nor a list of packages


def test_does_nothing_when_nothing_changed(checkout: Checkout) -> None:
    checkout.setup()

    assert checkout.setup().stdout == ""
    assert checkout.syncs == 1


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml"])
def test_installs_again_after_a_change_of_the_dependencies(checkout: Checkout, name: str) -> None:
    checkout.setup()
    with (checkout.folder / name).open("a") as file:
        file.write("# another line\n")

    checkout.setup()

    assert checkout.syncs == 2


def test_installs_again_after_the_checkout_was_moved(checkout: Checkout) -> None:
    """The scripts in .venv/bin carry the old path."""
    checkout.setup()
    moved = Checkout(checkout.folder.rename(checkout.folder.with_name("moved")))

    moved.setup()

    assert moved.syncs == 2


def test_builds_an_unfinished_environment_anew(checkout: Checkout) -> None:
    """A sync that was cut short leaves packages that look installed."""
    (checkout.folder / "refuse").touch()
    failed = checkout.setup()
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    leftover = checkout.folder / ".venv/leftover"
    leftover.touch()
    (checkout.folder / "refuse").unlink()

    assert checkout.setup().returncode == 0
    assert not leftover.exists()


@pytest.mark.parametrize("wreck", ["dangling", "half_made", "a_file"])
def test_replaces_a_broken_environment(checkout: Checkout, wreck: str) -> None:
    venv = checkout.folder / ".venv"
    if wreck == "a_file":
        venv.touch()
    else:
        (venv / "bin").mkdir(parents=True)
    if wreck == "dangling":
        (venv / "bin/python").symlink_to("/nonexistent/python")

    result = checkout.setup()

    assert result.returncode == 0, result.stderr
    assert (venv / ".fitcheck-ready").exists()


def test_replaces_an_environment_of_a_python_that_is_too_old(checkout: Checkout) -> None:
    """Also when an earlier setup had called it ready."""
    checkout.setup()
    python = checkout.folder / ".venv/bin/python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)

    assert checkout.setup().returncode == 0
    assert checkout.syncs == 2


def test_names_the_way_out_where_no_python_fits(checkout: Checkout, tmp_path: Path) -> None:
    """Only a Python 3.9 on PATH: the message says which are needed and how to name one."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "uname", "sha256sum", "cat", "dirname", "env", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.skip(f"{tool} is missing"))
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.rmtree(checkout.folder / ".uv")

    result = checkout.setup(PATH=str(tools), FITCHECK_PYTHON="")

    assert result.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13 found" in result.stderr
    assert "FITCHECK_PYTHON=" in result.stderr
