"""Splits that are read in spans: the batches are those of one pass, and so are the problems."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from audits.artefacts import Batch, Rows, Span, Split
from audits.sources.images import image_folder
from audits.sources.tables import arrow_files
from schemas.problem import DataError

Open = Callable[..., tuple[Split, Split]]
BATCH = 7


@pytest.fixture(autouse=True)
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_files, "BATCH_ROWS", 5)


def frame(rows: int, first: int = 0) -> pd.DataFrame:
    number = np.arange(first, first + rows)
    return pd.DataFrame({"a": number / 2, "b": number, "t": [f"text {i}" for i in number], "y": number % 2})


def write(path: Path, table: pd.DataFrame, group_rows: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pandas(table, preserve_index=False), path, row_group_size=group_rows)


def one_parquet(folder: Path) -> dict[str, object]:
    write(folder / "a.parquet", frame(53))
    return {"train": "a.parquet", "label": "y"}


def many_parquets(folder: Path) -> dict[str, object]:
    """In partitions; one of them without a row."""
    for part, (first, rows) in enumerate([(0, 20), (20, 0), (20, 33)]):
        write(folder / "all" / f"part={part}" / "a.parquet", frame(rows, first))
    return {"train": "all", "label": "y", "group": "part"}


def first_rows(folder: Path) -> dict[str, object]:
    return one_parquet(folder) | {"options": {"max_rows": 31}}


def labels_elsewhere(folder: Path) -> dict[str, object]:
    write(folder / "a.parquet", frame(53).drop(columns="y"))
    write(folder / "labels.parquet", frame(53)[["y"]])
    return {"train": {"uri": "a.parquet", "label_uri": "labels.parquet"}, "label": "y"}


def npy(folder: Path) -> dict[str, object]:
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "x.npy", np.arange(106.0).reshape(53, 2))
    np.save(folder / "arrays" / "y.npy", np.arange(53) % 2)
    return {"train": "arrays"}


def npz(folder: Path) -> dict[str, object]:
    """Two archives, of which the first ends within a batch."""
    for name, rows in (("a", 30), ("b", 23)):
        np.savez(folder / f"{name}.npz", x=np.arange(2.0 * rows).reshape(rows, 2), y=np.arange(rows) % 2)
    return {"train": ["a.npz", "b.npz"]}


def images(folder: Path) -> dict[str, object]:
    for number in range(20):
        path = folder / "pictures" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((3, 3, 3), number * 10, dtype=np.uint8)).save(path)
    return {"train": "pictures"}


WORLDS = [one_parquet, many_parquets, first_rows, labels_elsewhere, npy, npz, images]


@pytest.fixture(params=WORLDS, ids=lambda world: world.__name__)
def split(request: pytest.FixtureRequest, tmp_path: Path, opened: Open) -> Split:
    asked = request.param(tmp_path)
    train = asked.pop("train")
    return opened(train, train, **asked)[0]


def assert_same(batches: list[Batch], others: list[Batch]) -> None:
    assert [batch.first_row for batch in batches] == [other.first_row for other in others]
    for batch, other in zip(batches, others, strict=True):
        assert_same_rows(batch.features, other.features)
        np.testing.assert_array_equal(batch.labels, other.labels)
        assert batch.roles.keys() == other.roles.keys()
        for role, values in batch.roles.items():
            np.testing.assert_array_equal(values, other.roles[role])


def assert_same_rows(rows: Rows, others: Rows) -> None:
    if isinstance(rows, pd.DataFrame):
        assert isinstance(others, pd.DataFrame)
        pd.testing.assert_frame_equal(rows, others)
    else:
        np.testing.assert_array_equal(rows, others)


def test_spans_hold_the_batches_of_one_pass(split: Split):
    whole, starts = list(split.batches(BATCH)), split.starts(BATCH)

    assert starts[0] == 0
    assert starts[-1] == sum(map(len, whole))
    assert len(starts) > 2
    read = [batch for first, stop in pairwise(starts) for batch in split.batches(BATCH, Span(first, stop))]
    assert_same(read, whole)


def test_a_span_of_several_parts_is_read_on(split: Split):
    starts = split.starts(BATCH)
    wanted = Span(starts[1], starts[-1])

    assert_same(list(split.batches(BATCH, wanted)), [b for b in split.batches(BATCH) if b.first_row >= wanted.first])


def test_a_problem_names_the_row_of_its_file(tmp_path: Path, opened: Open):
    """Of a row group that is not the first, read from within it."""
    table = frame(53)
    table.loc[47, "y"] = np.nan
    write(tmp_path / "a.parquet", table)
    split, _ = opened("a.parquet", "a.parquet", label="y")

    with pytest.raises(DataError) as problem:
        list(split.batches(BATCH, Span(split.starts(BATCH)[-2], 53)))
    assert (problem.value.code, problem.value.row) == ("label_missing_values", 47)


def test_too_many_labels_are_noticed_by_whoever_reads_the_end(tmp_path: Path, opened: Open):
    asked = labels_elsewhere(tmp_path)
    write(tmp_path / "labels.parquet", frame(54)[["y"]])
    split, _ = opened(asked["train"], asked["train"], label="y")

    list(split.batches(BATCH, Span(0, split.starts(BATCH)[1])))
    with pytest.raises(DataError) as problem:
        list(split.batches(BATCH, Span(split.starts(BATCH)[-2], 53)))
    assert problem.value.code == "data_rows_differ"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.feather", "packed.npz"])
def test_what_can_only_be_read_in_order_says_so(name: str, tmp_path: Path, opened: Open):
    table = frame(20)
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    table.to_feather(tmp_path / "a.feather")
    np.savez_compressed(tmp_path / "packed.npz", x=np.ones((20, 2)), y=np.arange(20) % 2)
    split, _ = opened(name, name, **({} if name.endswith("npz") else {"label": "y"}))

    assert split.starts(BATCH) == ()


def test_images_come_in_the_same_batches_where_these_are_smaller(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(image_folder, "BATCH_BYTES", 3 * 4 * 27)
    split, _ = opened(**{"validation": "pictures", **images(tmp_path)})

    assert split.starts(BATCH) == (*range(0, 20, 3), 20)
