"""uv.lock: what is installed is what was locked, byte by byte, and comes from the Python Package Index alone."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from scripts.dependencies import uv

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def packages() -> list[dict[str, Any]]:
    """Everything that is locked, but for this project itself."""
    locked: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    ours = [package for package in locked if package["source"] == {"editable": "."}]
    assert [package["name"] for package in ours] == ["fitcheck"]
    return [package for package in locked if package not in ours]


def files_of(package: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from package.get("wheels", ())
    if "sdist" in package:
        yield package["sdist"]


def test_everything_comes_from_the_index_alone(packages: list[dict[str, Any]]) -> None:
    """No other index, no repository, no folder, whose contents may change under the same version."""
    hosts = {urlsplit(file["url"])[:2] for package in packages for file in files_of(package)}

    assert len(packages) > 100
    assert {tuple(package["source"].items()) for package in packages} == {(("registry", "https://pypi.org/simple"),)}
    assert hosts == {("https", "files.pythonhosted.org")}


def test_every_file_is_known_by_its_hash(packages: list[dict[str, Any]]) -> None:
    for package in packages:
        assert list(files_of(package)), package["name"]
        for file in files_of(package):
            assert re.fullmatch("sha256:[0-9a-f]{64}", file["hash"]), file["url"]


def test_every_package_comes_as_a_wheel(packages: list[dict[str, Any]]) -> None:
    """What is built from source runs its authors' code at installation."""
    assert [package["name"] for package in packages if not package.get("wheels")] == []


def is_up_to_date(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [uv(), "lock", "--check", "--offline"], cwd=project, check=False, capture_output=True, text=True, timeout=60
    )


def test_the_lock_is_that_of_the_project() -> None:
    answer = is_up_to_date(ROOT)

    assert answer.returncode == 0, answer.stderr


def test_a_lock_of_other_dependencies_is_told(tmp_path: Path) -> None:
    """The check does check."""
    for name in ("pyproject.toml", "uv.lock", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    project = tmp_path / "pyproject.toml"
    project.write_text(re.sub(r'^    "typer>=.*\n', "", project.read_text(), flags=re.MULTILINE))

    assert is_up_to_date(tmp_path).returncode != 0
