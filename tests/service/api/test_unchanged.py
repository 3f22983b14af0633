"""What was found sound is known again by its request and its files, and by nothing else."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audits.sources import Roots
from schemas.request import AuditRequest
from service.api import unchanged
from service.api.unchanged import Unchanged, identity_of

Identify = Callable[..., bytes | None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model and data that have long been as they are."""
    (tmp_path / "model" / "variables").mkdir(parents=True)
    for name in ("model/saved_model.pb", "model/variables/variables.index", "train.csv", "validation.csv"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(unchanged, "SETTLED_NANOSECONDS", -(10**12))
    return tmp_path


@pytest.fixture
def identify(folder: Path) -> Identify:
    """The identity of a request for them, with some of its fields changed."""

    def identify(**changes: Any) -> bytes | None:
        body = {
            "model": {"uri": "model"},
            "data": {"train": {"uri": "train.csv"}, "validation": {"uri": "validation.csv"}},
            **changes,
        }
        return identity_of(AuditRequest.model_validate(body), Roots((folder,), uploads=folder / "uploads"))

    return identify


def test_the_same_request_for_the_same_files_is_known(identify: Identify) -> None:
    assert identify() is not None
    assert identify() == identify()


def test_what_no_examination_looks_at_makes_no_difference(identify: Identify) -> None:
    assert identify(tags={"team": "a"}, priority=3, gate={"fail_on": "never"}) == identify()


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "regression"},
        {"model": {"uri": "model", "signature": "other"}},
        {"resources": {"max_rows": 5}},
        {"data": {"train": {"uri": "train.csv"}, "validation": {"uri": "train.csv"}}},
        {"checks": {"limits": {"metrics.miscalibration": {"max_ece": 0.5}}}},
    ],
)
def test_another_request_is_another(identify: Identify, changes: dict[str, Any]) -> None:
    assert identify(**changes) != identify()


def touch(path: Path) -> None:
    path.write_text(path.read_text()[::-1])


def rewrite_behind_the_times(path: Path) -> None:
    """Another content of the same size, in the same inode, with the old time of modification."""
    seen = path.stat()
    touch(path)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.rename(path)


@pytest.mark.parametrize("change", [touch, rewrite_behind_the_times, replace, Path.unlink])
@pytest.mark.parametrize("name", ["model/saved_model.pb", "model/variables/variables.index", "train.csv"])
def test_a_changed_file_is_another(
    identify: Identify, folder: Path, name: str, change: Callable[[Path], object]
) -> None:
    before = identify()
    time.sleep(0.02)  # a tick of the clock that stamps files
    change(folder / name)

    assert identify() != before


def test_a_new_file_in_a_folder_is_seen(identify: Identify, folder: Path) -> None:
    before = identify()
    (folder / "model" / "variables" / "more").touch()

    assert identify() != before


def test_a_model_named_by_its_graph_has_the_files_of_its_folder(identify: Identify, folder: Path) -> None:
    model = {"uri": "model/saved_model.pb"}
    before = identify(model=model)
    touch(folder / "model" / "variables" / "variables.index")

    assert before is not None
    assert identify(model=model) != before


def test_what_has_just_been_written_is_not_known_yet(
    identify: Identify, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be written again within the same tick."""
    monkeypatch.setattr(unchanged, "SETTLED_NANOSECONDS", 2 * 10**9)

    assert identify() is None


@pytest.mark.parametrize("uri", ["*.csv", "s3://bucket/train.csv", "nothing.csv", "../outside.csv", "linked"])
def test_what_stat_cannot_tell_cheaply_is_never_known(identify: Identify, folder: Path, uri: str) -> None:
    (folder / "linked").mkdir()
    (folder / "linked" / "x.csv").symlink_to(folder / "train.csv")

    assert identify(data={"train": {"uri": uri}, "validation": {"uri": "validation.csv"}}) is None


def test_a_folder_of_many_files_is_never_known(
    identify: Identify, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "MAX_FILES", 6)
    assert identify() is not None
    (folder / "model" / "variables" / "more").touch()
    assert identify() is None


def test_the_longest_unused_is_forgotten() -> None:
    known = Unchanged(most=2)
    for identity in (b"a", b"b"):
        known.add(identity)
    assert b"a" in known
    known.add(b"c")

    assert (b"a" in known, b"b" in known, b"c" in known) == (True, False, True)
