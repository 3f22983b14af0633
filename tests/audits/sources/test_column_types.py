"""Columns of types that are converted, and of types that are not read: in the way of nobody who does not use them."""

import datetime as dt
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from audits.artefacts import ExampleFeature, ModelDescription, Split, TensorSpec
from audits.sources.example_messages import example_class
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything
from tests.audits.sources.test_table_formats import example, record

Open = Callable[..., tuple[Split, Split]]
NOBODY_READS: dict[str, pa.Array] = {
    "blob": pa.array([b"\x89PNG", b"\xff"]),
    "blob_of_four": pa.array([b"abcd", None], pa.binary(4)),
    "struct": pa.array([{"a": 1}, {"a": 2}]),
    "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
    "nested": pa.array([[[1], [2, 3]], [[4]]]),
    "lists_of_structs": pa.array([[{"a": 1}], []]),
    "nothing_in_lists": pa.array([[], None], pa.list_(pa.int64())),
    "interval": pa.array([pa.MonthDayNano([1, 2, 3]), None], pa.month_day_nano_interval()),
}
CONVERTED: dict[str, tuple[pa.Array, list[Any]]] = {
    "decimal": (pa.array([decimal.Decimal("1.50"), None]), [1.5, np.nan]),
    "small_decimal": (pa.array([decimal.Decimal(2), decimal.Decimal(3)], pa.decimal32(5, 0)), [2.0, 3.0]),
    "levels": (pa.array(["low", "high"]).dictionary_encode(), ["low", "high"]),
    "levels_of_numbers": (pa.array([7, 8]).dictionary_encode(), [7, 8]),
    "runs": (pa.RunEndEncodedArray.from_arrays([2], [5.5]), [5.5, 5.5]),
    "duration": (pa.array([dt.timedelta(seconds=90), None]), [90.0, np.nan]),
    "time_of_day": (pa.array([dt.time(0, 1, 30), dt.time(1)]), [90.0, 3600.0]),
    "time_in_seconds": (pa.array([5, None], pa.time32("s")), [5.0, np.nan]),
    "half": (pa.array([np.float16(0.5), np.float16(2)], pa.float16()), [0.5, 2.0]),
    "truth": (pa.array([True, None]), [1.0, np.nan]),
    "view": (pa.array(["a", None], pa.string_view()), ["a", None]),
}


def model(*inputs: TensorSpec, examples: tuple[ExampleFeature, ...] = ()) -> ModelDescription:
    return ModelDescription(
        path="/m",
        signature="serving_default",
        signatures=("serving_default",),
        tags=("serve",),
        inputs=inputs,
        outputs=(),
        tensorflow_version="2.21.0",
        examples={inputs[0].name: examples} if examples else {},
    )


MATRIX = model(TensorSpec("x", "float32", (None, 1)))
NAMED = model(TensorSpec("a", "float32", (None, 1)), TensorSpec("blob", "string", (None, 1)))
RAGGED = model(
    TensorSpec("tags", "int64", (None,)), TensorSpec("tags_1", "int64", (None,)), TensorSpec("a", "float32", (None, 1))
)


def problem_of(action: Callable[[], object]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value


def write(path: Path, columns: dict[str, Any]) -> str:
    table = pa.table({**columns, "y": [0, 1]})
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        feather.write_feather(table, str(path), compression="uncompressed")
    return path.name


@pytest.mark.parametrize("name", NOBODY_READS)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_type_that_is_not_read_is_in_nobodys_way(tmp_path: Path, opened: Open, name: str, suffix: str) -> None:
    if suffix == ".parquet" and name == "interval":
        pytest.skip("Parquet cannot hold it")
    values = NOBODY_READS[name]
    file = write(tmp_path / f"x{suffix}", {"a": [1.0, 2.0], name: values})
    train, validation = opened(file, file, label="y", options={"model": MATRIX})
    (batch,) = everything(train)

    assert batch.features.columns.tolist() == ["a"]
    for split in (train, validation):
        assert name in split.describe()["ignored_columns"]
        assert split.describe()["unread_columns"][name].split("<")[0] == str(values.type).split("<")[0]


@pytest.mark.parametrize("name", NOBODY_READS)
def test_a_type_that_is_not_read_is_a_problem_where_it_is_asked_for(tmp_path: Path, opened: Open, name: str) -> None:
    file = write(tmp_path / "x.arrow", {"a": [1.0, 2.0], name: NOBODY_READS[name]})
    for chosen in ({"label": "y", "features": ["a", name]}, {"label": "y", "weight": name}):
        problem = problem_of(lambda c=chosen: everything(opened(file, file, options={"model": MATRIX}, **c)[0]))

        assert (problem.code, problem.column) == ("column_type_unsupported", name)
        assert problem.file == str(tmp_path / "x.arrow")


def test_an_input_of_that_name_asks_for_it(tmp_path: Path, opened: Open) -> None:
    file = write(tmp_path / "x.parquet", {"a": [1.0, 2.0], "blob": NOBODY_READS["blob"]})
    problem = problem_of(lambda: opened(file, file, label="y", options={"model": NAMED}))

    assert (problem.code, problem.column) == ("column_type_unsupported", "blob")


@pytest.mark.parametrize("name", CONVERTED)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_is_converted(tmp_path: Path, opened: Open, name: str, suffix: str) -> None:
    values, read = CONVERTED[name]
    if suffix == ".parquet" and name in {"runs", "small_decimal"}:
        pytest.skip("Parquet cannot hold it")
    file = write(tmp_path / f"x{suffix}", {name: values})
    train, _ = opened(file, file, label="y")
    (batch,) = everything(train)

    np.testing.assert_array_equal(batch.features[name].to_numpy(), np.array(read, dtype=batch.features[name].dtype))
    # Parquet keeps dictionaries of texts alone
    plain = {"half", "truth", "view"} | ({"levels_of_numbers"} if suffix == ".parquet" else set())
    assert (name in train.describe().get("converted", {})) == (name not in plain)


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_bytes_that_are_text_are_text(tmp_path: Path, opened: Open, type_: pa.DataType, suffix: str) -> None:
    """Many writers of Parquet do not say that their bytes are text."""
    file = write(tmp_path / f"x{suffix}", {"city": pa.array(["Zürich".encode(), None], type_)})
    train, _ = opened(file, file, label="y")
    (batch,) = everything(train)

    assert batch.features["city"].tolist() == ["Zürich", None]
    assert "UTF-8" in train.describe()["converted"]["city"]


def test_bytes_that_are_no_text_after_some_that_are(tmp_path: Path, opened: Open) -> None:
    values = [b"text"] * 40_000 + [b"\xff"]
    parquet.write_table(pa.table({"a": values, "y": [0] * len(values)}), tmp_path / "x.parquet")
    problem = problem_of(lambda: everything(opened("x.parquet", "x.parquet", label="y")[0]))

    assert (problem.code, problem.row) == ("data_malformed", 40_000)


LONG = ("18446744073709551614", "18446744073709551615", "123456789012345678901", "123456789012345678902")


@pytest.mark.parametrize("role", ["id", "group"])
def test_long_numbers_that_identify_keep_their_digits(tmp_path: Path, opened: Open, role: str) -> None:
    (tmp_path / "x.csv").write_text("k,a,y\n" + "".join(f"{key},{n},{n % 2}\n" for n, key in enumerate(LONG)))
    parquet.write_table(
        pa.table({"k": pa.array([2**64 - 2, 2**64 - 1], pa.uint64()), "a": [1, 2], "y": [0, 1]}), tmp_path / "x.parquet"
    )
    for name, keys in {"x.csv": LONG, "x.parquet": LONG[:2]}.items():
        (batch,) = everything(opened(name, name, label="y", **{role: "k"})[0])

        assert batch.roles[role].tolist() == list(keys)


def test_long_numbers_that_lose_digits_are_named(tmp_path: Path, opened: Open) -> None:
    """And none are lost where the model takes text."""
    (tmp_path / "x.csv").write_text("k,a,y\n" + "".join(f"{key},{n},{n % 2}\n" for n, key in enumerate(LONG)))
    train, _ = opened("x.csv", "x.csv", label="y")
    text = model(TensorSpec("k", "string", (None, 1)), TensorSpec("a", "float32", (None, 1)))
    as_text, _ = opened("x.csv", "x.csv", label="y", options={"model": text})

    assert train.describe()["rounded"] == ["k"]
    assert everything(as_text)[0].features["k"].tolist() == list(LONG)
    assert "rounded" not in as_text.describe()


def test_decimals_keep_their_digits_as_text(tmp_path: Path, opened: Open) -> None:
    """A model with a vocabulary of texts was trained on "1.50"."""
    file = write(tmp_path / "x.parquet", {"price": CONVERTED["decimal"][0]})
    text = model(TensorSpec("price", "string", (None, 1)))
    (batch,) = everything(opened(file, file, label="y", options={"model": text})[0])

    assert batch.features["price"].tolist() == ["1.50", None]


class TestListsOfDifferingLength:
    def test_reach_a_model_that_takes_them(self, tmp_path: Path, opened: Open) -> None:
        """The longest list of both splits counts, so that no value is cut off."""
        first = write(tmp_path / "x.parquet", {"a": [1.0, 2.0], "tags": [[1, 2], None]})
        second = write(tmp_path / "v.parquet", {"a": [1.0, 2.0], "tags": [[4], [5, 6, 7]]})
        train, validation = opened(first, second, label="y", options={"model": RAGGED})
        (seen,) = everything(train)
        (held,) = everything(validation)

        columns = ["a", "tags[0]", "tags[1]", "tags[2]"]
        assert seen.features.columns.tolist() == held.features.columns.tolist() == columns
        np.testing.assert_array_equal(seen.features.to_numpy(), [[1, 1, 2, np.nan], [2, np.nan, np.nan, np.nan]])
        np.testing.assert_array_equal(held.features.to_numpy(), [[1, 4, np.nan, np.nan], [2, 5, 6, 7]])
        assert train.describe()["lists"] == {"tags": {"at_most": 3}}

    def test_of_texts(self, tmp_path: Path, opened: Open) -> None:
        file = write(tmp_path / "x.parquet", {"tags": [["x", "y"], ["z"]]})
        ragged = model(TensorSpec("x", "string", (None,)), TensorSpec("x_1", "int64", (None,)))
        (batch,) = everything(opened(file, file, label="y", options={"model": ragged})[0])

        assert batch.features.to_numpy().tolist() == [["x", "y"], ["z", None]]

    def test_are_in_nobodys_way(self, tmp_path: Path, opened: Open) -> None:
        file = write(tmp_path / "x.parquet", {"a": [1.0, 2.0], "tags": [[1, 2], [3]]})
        train, _ = opened(file, file, label="y", options={"model": MATRIX})

        assert [column.name for column in train.columns] == ["a"]
        assert train.describe()["unread_columns"] == {"tags": "lists of differing length"}

    def test_are_refused_where_the_model_takes_vectors(self, tmp_path: Path, opened: Open) -> None:
        file = write(tmp_path / "x.parquet", {"a": [1.0, 2.0], "tags": [[1, 2], [3]]})
        dense = model(TensorSpec("a", "float32", (None, 1)), TensorSpec("tags", "float32", (None, 2)))
        problem = problem_of(lambda: opened(file, file, label="y", options={"model": dense}))

        assert (problem.code, problem.column, problem.row) == ("feature_shape_mismatch", "tags", 1)
        assert "1 value in row 1 of x.parquet, but 2 in the first row" in problem.detail

    def test_that_differ_between_files_alone_are_no_vectors(self, tmp_path: Path, opened: Open) -> None:
        """Else the third value of the validation rows would be dropped without a word."""
        first = write(tmp_path / "x.parquet", {"tags": [[1, 2], [3, 4]]})
        second = write(tmp_path / "v.parquet", {"tags": [[1, 2, 3], [4, 5, 6]]})

        assert problem_of(lambda: opened(first, second, label="y")).code == "feature_shape_mismatch"

    def test_of_records(self, tmp_path: Path, opened: Open) -> None:
        """The longest list stands beyond the head."""
        records = [example(tags=[b"a", b"b"], one=1, y=0), *[example(tags=b"c", y=1)] * 300]
        (tmp_path / "x.tfrecord").write_bytes(b"".join(map(record, [*records, example(tags=[b"d"] * 4, y=0)])))
        (tmp_path / "v.tfrecord").write_bytes(b"".join(map(record, [example(tags=b"e", one=1, y=0)])))
        parsed = (ExampleFeature("tags", "string", None), ExampleFeature("one", "int64", (1,), has_default=True))
        messages = model(TensorSpec("examples", "string", (None,)), examples=parsed)
        train, validation = opened("x.tfrecord", "v.tfrecord", label="y", options={"model": messages})
        batch, held = everything(train)[0], everything(validation)[0]

        assert batch.features["tags[3]"].tolist()[-1] == "d"
        assert batch.features.iloc[0].tolist()[1:] == ["a", "b", None, None]
        assert held.features.iloc[0].tolist() == [1, "e", None, None, None]


def test_sequence_examples_are_named(tmp_path: Path, opened: Open) -> None:
    """Their first field reads like that of an Example, and their lists would be lost."""
    message = example_class()()
    message.features.feature["y"].int64_list.value.append(1)
    message.feature_lists = b"\x0a\x02\x0a\x00"
    (tmp_path / "x.tfrecord").write_bytes(record(message.SerializeToString()))
    problem = problem_of(lambda: opened("x.tfrecord", "x.tfrecord", label="y"))

    assert problem.code == "data_format_unsupported"
    assert "SequenceExample" in problem.detail


@pytest.mark.parametrize("suffix", [".parquet", ".tfrecord"])
def test_lists_longer_than_a_table_is_wide_are_in_nobodys_way(tmp_path: Path, opened: Open, suffix: str) -> None:
    lists, path = [[1] * 10_001, [2]], tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        write(path, {"a": [1.0, 2.0], "long": lists})
    else:
        path.write_bytes(b"".join(record(example(a=1.0, long=one, y=k)) for k, one in enumerate(lists)))
    train, _ = opened(path.name, path.name, label="y", options={"model": MATRIX})

    assert [column.name for column in train.columns] == ["a"]
    assert "10,001 values" in train.describe()["unread_columns"]["long"]


def test_labels_in_lists_of_differing_length_are_no_missing_labels(tmp_path: Path, opened: Open) -> None:
    parquet.write_table(pa.table({"a": [1.0, 2.0], "y": [[0, 1], [1]]}), tmp_path / "x.parquet")
    problem = problem_of(lambda: opened("x.parquet", "x.parquet", label="y"))

    assert (problem.code, problem.column) == ("label_shape_unsupported", "y")
    assert "a column for each" in problem.detail


def test_lists_are_looked_at_as_far_as_rows_are_read(tmp_path: Path, opened: Open) -> None:
    first = [record(example(tags=[b"a"] * (1 + k % 2), y=0)) for k in range(5000)]
    (tmp_path / "x.tfrecord").write_bytes(b"".join(first) + b"damage at the end")
    parsed = (ExampleFeature("tags", "string", None),)
    messages = model(TensorSpec("examples", "string", (None,)), examples=parsed)
    options = {"model": messages, "max_rows": 100}
    (batch,) = everything(opened("x.tfrecord", "x.tfrecord", label="y", options=options)[0])

    assert (len(batch), batch.features.shape[1]) == (100, 2)
