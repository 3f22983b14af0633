"""What is exchanged between the first look and the last is told, and nothing else is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audits.sources import Roots
from audits.sources.looked_at import LookedAt
from schemas.problem import DataError, ModelError, ProblemError
from schemas.request import AuditRequest

LABELS = "labels.npy"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in ("1", "2"):
        (tmp_path / "model" / version / "variables").mkdir(parents=True)
        (tmp_path / "model" / version / "assets").mkdir()
        for name in ("saved_model.pb", "variables/variables.index", "assets/words.txt", "notes.txt"):
            (tmp_path / "model" / version / name).write_text(name)
    (tmp_path / "train" / "year=2024").mkdir(parents=True)
    for name in ("train/year=2024/a.csv", "train/_SUCCESS", "train/.hidden", "validation.csv", LABELS, "history.json"):
        (tmp_path / name).write_text(name)
    return tmp_path


def looked_at(folder: Path) -> LookedAt:
    body = {
        "model": {"uri": "model"},
        "data": {
            "train": {"uri": "train"},
            "validation": {"uri": ["valid*.csv", "s3://bucket/more.csv"], "label_uri": LABELS},
        },
        "history": {"uri": "history.json"},
    }
    return LookedAt(AuditRequest.model_validate(body), Roots((folder,)))


def rewrite(path: Path) -> None:
    """Longer than before."""
    path.write_text(path.read_text() + "more")


def touch(path: Path) -> None:
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))


def exchange(path: Path) -> None:
    """Another file of the same size and time."""
    seen, other = path.stat(), path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize(
    ("name", "code", "field"),
    [
        ("model/2/saved_model.pb", "model_changed", "model.uri"),
        ("model/2/variables/variables.index", "model_changed", "model.uri"),
        ("model/2/assets/words.txt", "model_changed", "model.uri"),
        ("train/year=2024/a.csv", "data_changed", "data.train.uri"),
        ("validation.csv", "data_changed", "data.validation.uri"),
        (LABELS, "data_changed", "data.validation.label_uri"),
    ],
)
@pytest.mark.parametrize("change", [rewrite, touch, exchange, Path.unlink])
def test_a_change_is_told_with_the_file(
    folder: Path, name: str, code: str, field: str, change: Callable[[Path], None]
) -> None:
    with pytest.raises(ProblemError) as caught, looked_at(folder).stay_the_same():
        change(folder / name)

    told = caught.value
    assert (told.code, told.field, told.file) == (code, field, str(folder / name))
    assert isinstance(told, ModelError if code == "model_changed" else DataError)


@pytest.mark.parametrize(
    "name", ["model/1/saved_model.pb", "model/2/notes.txt", "train/_SUCCESS", "train/.hidden", "history.json"]
)
def test_what_is_not_read_may_change(folder: Path, name: str) -> None:
    """An older version of the model, markers, and a history that a training goes on writing: it is read once."""
    with looked_at(folder).stay_the_same():
        rewrite(folder / name)


def test_what_comes_later_is_not_looked_at(folder: Path) -> None:
    with looked_at(folder).stay_the_same():
        (folder / "train" / "b.csv").write_text("new")
        (folder / "model" / "3").mkdir()


def test_it_is_the_reason_of_what_goes_wrong(folder: Path) -> None:
    """Half a file is malformed; that it is half a file has a cause."""
    seen = looked_at(folder)
    rewrite(folder / "validation.csv")
    with pytest.raises(DataError) as caught, seen.stay_the_same():
        raise DataError("data_malformed", "It ends in the middle.")

    assert caught.value.code == "data_changed"


def test_what_goes_wrong_by_itself_is_told_as_it_is(folder: Path) -> None:
    with pytest.raises(DataError) as caught, looked_at(folder).stay_the_same():
        raise DataError("data_malformed", "It ends in the middle.")

    assert caught.value.code == "data_malformed"


def test_what_is_not_there_is_left_to_those_who_open_it(tmp_path: Path) -> None:
    with looked_at(tmp_path).stay_the_same():
        (tmp_path / "validation.csv").write_text("late")
