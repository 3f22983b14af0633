"""Globs are matched as the standard library does it, but in bounded time."""

import glob
import os
import time
from pathlib import Path

import pytest

from audits.sources import globbing
from audits.sources.globbing import TooManyPlacesError, matches
from audits.sources.locations import Roots, resolve
from schemas.problem import ProblemError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("a/b/c", "a/.h/x", "d/e", "a/b/d*f", "z"):
        (tmp_path / folder).mkdir(parents=True)
    for file in (
        "a/1.csv",
        "a/b/2.csv",
        "a/b/c/3.csv",
        "a/.h/4.csv",
        "d/e/5.csv",
        "x[1].csv",
        ".h.csv",
        "a/b/d*f/6.csv",
    ):
        (tmp_path / file).touch()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        *("*", "**", "**/*.csv", "*/*", "a/*", "a/**/*.csv", "**/b/**", "**/.h/*", ".*", "x[[]1].csv", "x[[]*"),
        *("?/*/*.csv", "a/b/d[*]f/*.csv", "nothing/*", "**/", "a/**/c", "**/**/*.csv", "a/./b/*.csv", "[a-c]/*.csv"),
    ],
)
def test_the_same_is_found_as_by_the_standard_library(tree: Path, pattern: str) -> None:
    whole = f"{glob.escape(str(tree))}/{pattern}"
    expected = {os.path.normpath(path) for path in glob.iglob(whole, recursive=True)}  # noqa: PTH207

    assert sorted(matches(whole)) == sorted(expected)


def test_links_to_folders_are_followed(tree: Path) -> None:
    (tree / "z" / "link").symlink_to(tree / "d")

    assert str(tree / "z" / "link" / "e" / "5.csv") in set(matches(f"{tree}/z/**/*.csv"))


@pytest.mark.parametrize("pattern", ["**/*.csv", "*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*.csv"])
def test_links_in_circles(tmp_path: Path, pattern: str) -> None:
    """Three links to the folder that they lie in are 3^20 ways to go."""
    for name in "abc":
        (tmp_path / name).symlink_to(".")
    (tmp_path / "1.csv").touch()

    assert len(list(matches(f"{tmp_path}/{pattern}"))) == 1


def test_many_wildcards_are_no_more_work_than_folders(tmp_path: Path) -> None:
    """The number of ways to share out 20 folders among 40 wildcards has 15 digits."""
    (tmp_path / "/".join("abcdefghijklmnopqrst")).mkdir(parents=True)
    begun = time.process_time()

    assert list(matches(f"{tmp_path}{'/**' * 40}/nothing.csv")) == []
    assert time.process_time() - begun < 5


def test_too_many_folders(tree: Path, monkeypatch) -> None:
    monkeypatch.setattr(globbing, "MAX_PLACES", 3)
    with pytest.raises(TooManyPlacesError):
        list(matches(f"{tree}/**/*.csv"))
    with pytest.raises(ProblemError) as caught:
        resolve(f"{tree}/**/*.csv", Roots((tree,)), field="data.train.uri")

    assert (caught.value.code, caught.value.field) == ("data_too_many_files", "data.train.uri")
