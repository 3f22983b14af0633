"""Folders of `tf.data.Dataset.save`, as TensorFlow 2.21 wrote them; each was saved twice, so that one run is stale.

xy: `from_tensor_slices((arange(12.0) as (6, 2), [0, 1, 0, 1, 0, 1]))`; gz: packed; batched: in batches of 4; shards: by
the label; dict: `({"a": arange(6.0), "b": ["x", "y", ...]}, labels)`.
"""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audits.artefacts import Split
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything

Open = Callable[..., tuple[Split, Split]]
FOLDER = Path(__file__).parent / "saved_datasets"


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Path]:
    """A copy that can be damaged."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(FOLDER / name, tmp_path / name))

    return copy


def problem_of(action: Callable[[], object]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value


@pytest.mark.parametrize("name", ["xy", "gz", "batched", "shards"])
def test_arrays_come_back(saved: Callable, opened: Open, name: str) -> None:
    saved(name)
    train, _ = opened(name, name)
    batches = everything(train, rows=4)
    x, y = (np.concatenate([getattr(batch, part) for batch in batches]) for part in ("features", "labels"))
    order = np.argsort(x[:, 0])

    assert x[order].tolist() == np.arange(12.0).reshape(6, 2).tolist()
    assert y[order].tolist() == [0, 1, 0, 1, 0, 1]
    assert train.describe()["format"] == "saved_dataset"


def test_dictionaries_are_tables(saved: Callable, opened: Open) -> None:
    saved("dict")
    train, _ = opened("dict", "dict", label="y")
    (batch,) = everything(train)

    assert batch.features["a"].tolist() == list(range(6))
    assert batch.features["b"].tolist() == ["x", "y"] * 3
    assert batch.labels.tolist() == [0, 1] * 3
    assert problem_of(lambda: opened("dict", "dict")).code == "label_required"


def shard(folder: Path) -> Path:
    """The file that counts."""
    run = (folder / "snapshot.metadata").read_bytes()[2:].split(b"\x18")[0].decode()
    return folder / run / "00000000.shard" / "00000000.snapshot"


@pytest.mark.parametrize("name", ["xy", "batched", "dict"])
def test_a_file_cut_off_anywhere_is_named(saved: Callable, opened: Open, name: str) -> None:
    file = shard(saved(name))
    raw = file.read_bytes()
    for length in {0, 1, 17, len(raw) // 2, len(raw) - 41, len(raw) - 1}:
        file.write_bytes(raw[:length])
        problem = problem_of(lambda: opened(name, name, label="y"))

        assert problem.code in {"data_malformed", "data_empty"}, length
        assert problem.file == str(file)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), which=st.sampled_from(["shard", "spec", "meta"]))
def test_a_flipped_bit_is_a_problem_or_harmless(
    tmp_path: Path, opened: Open, place: float, bit: int, which: str
) -> None:
    """Of the shards every bit is checked; of the headers, which have no checksum, none leads to a crash."""
    shutil.rmtree(tmp_path / "xy", ignore_errors=True)
    folder = Path(shutil.copytree(FOLDER / "xy", tmp_path / "xy"))
    file = {"shard": shard(folder), "spec": folder / "dataset_spec.pb", "meta": folder / "snapshot.metadata"}[which]
    raw = bytearray(file.read_bytes())
    raw[int(place * len(raw))] ^= 1 << bit
    file.write_bytes(raw)
    read = False
    with contextlib.suppress(ProblemError):
        read = bool(everything(opened("xy", "xy")[0]))
    assert not (read and which == "shard")


def test_an_unfinished_dataset_is_named(saved: Callable, opened: Open) -> None:
    folder = saved("xy")
    raw = (folder / "snapshot.metadata").read_bytes()
    (folder / "snapshot.metadata").write_bytes(raw.removesuffix(b"\xc0\x3e\x01"))

    assert "never saved to the end" in problem_of(lambda: opened("xy", "xy")).detail


def test_a_run_outside_of_the_folder_is_not_followed(saved: Callable, opened: Open) -> None:
    folder = saved("xy")
    run = shard(folder).parents[1].name.encode()
    raw = (folder / "snapshot.metadata").read_bytes()
    (folder / "snapshot.metadata").write_bytes(raw.replace(run, b"../" + b"x" * (len(run) - 3)))

    assert problem_of(lambda: opened("xy", "xy")).code == "data_malformed"


@pytest.mark.parametrize("gone", ["dataset_spec.pb", "snapshot.metadata"])
def test_half_of_a_dataset_is_no_dataset(saved: Callable, opened: Open, gone: str) -> None:
    (saved("xy") / gone).unlink()
    problem = problem_of(lambda: opened("xy", "xy"))

    assert problem.code == "data_format_unsupported"
    assert "Dataset.save" in problem.detail


@pytest.mark.parametrize(("name", "label"), [("xy", None), ("dict", "y")])
def test_a_few_rows_are_read_without_the_rest(saved: Callable, opened: Open, name: str, label: str | None) -> None:
    """As before an audit is queued: of a large file, the end is not looked at."""
    file = shard(saved(name))
    file.write_bytes(file.read_bytes()[:-1])
    train, _ = opened(name, name, label=label, options={"max_rows": 2})

    assert sum(map(len, everything(train, rows=2))) == 2
