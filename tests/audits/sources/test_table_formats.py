"""Tables that are not CSV: JSON lines, Arrow, TFRecord, HDF5, and what they are packed with."""

import bz2
import gzip
import io
import json
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from audits.artefacts import ModelDescription, Split, TensorSpec
from audits.sources import Roots, compression, open_splits
from audits.sources.example_messages import example_class
from audits.sources.records.framing import masked_crc
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything

Open = Callable[..., tuple[Split, Split]]
TABLE = pa.table(
    {"n": [1.5, None, -2.0], "i": [1, 2, 3], "s": ["a", None, "ü"], "b": [True, False, True], "y": [0, 1, 0]}
)


# tf.io.TFRecordWriter of TensorFlow 2.21, without compression and with GZIP and ZLIB: a=[7], v=[1.5, -2], y=[1].
WRITTEN_BY_TENSORFLOW = {
    "plain.tfrecord": "2d000000000000003c418afb0a2b0a0a0a016112051a030a01070a110a0176120c120a0a080000c03f000000c0"
    "0a0a0a017912051a030a010110b15323",
    "gzip.tfrecord": "1f8b0800000000000003d36580001bc7aedf5cda5c5c5c8c8942ac52cc5c8cec5c825c8c65423c425c5c1c0c0c07"
    "ec816a0e80a42b21d28c021b839501541ac50a3d000000",
    "zlib.tfrecord": "789cd36580001bc7aedf5cda5c5c5c8c8942ac52cc5c8cec5c825c8c65423c425c5c1c0c0c07ec816a0e80a42b21d28c"
    "021b839501e6bd07e1",
}


def problem_of(action: Callable[[], object]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value


def zstandard(raw: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(raw)
    return out.getvalue().to_pybytes()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard,
}


def record(body: bytes) -> bytes:
    length = struct.pack("<Q", len(body))
    return length + struct.pack("<I", masked_crc(length)) + body + struct.pack("<I", masked_crc(body))


def example(**features: object) -> bytes:
    """A serialized tf.train.Example."""
    message = example_class()()
    for name, value in features.items():
        feature = message.features.feature[name]
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return message.SerializeToString()


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


class TestPacked:
    @pytest.mark.parametrize("suffix", PACKERS)
    @pytest.mark.parametrize("kind", ["csv", "jsonl", "tfrecord"])
    def test_comes_back(self, tmp_path: Path, opened: Open, suffix: str, kind: str) -> None:
        raw = {
            "csv": b"a,y\n1,0\n2,1\n",
            "jsonl": lines({"a": 1, "y": 0}, {"a": 2, "y": 1}),
            "tfrecord": record(example(a=1, y=0)) + record(example(a=2, y=1)),
        }[kind]
        for name in (f"x.{kind}{suffix}", "upload"):
            (tmp_path / name).write_bytes(PACKERS[suffix](raw))
            train, _ = opened(name, name, label="y")
            (batch,) = everything(train)

            assert batch.features["a"].tolist() == [1, 2]
            assert train.describe()["compression"] in {"gzip", "bzip2", "xz", "zstandard"}

    @pytest.mark.parametrize("suffix", PACKERS)
    def test_members_one_after_another(self, tmp_path: Path, opened: Open, suffix: str) -> None:
        pack = PACKERS[suffix]
        (tmp_path / f"x.csv{suffix}").write_bytes(pack(b"a,y\n1,0\n") + pack(b"2,1\n"))

        assert everything(opened(f"x.csv{suffix}", f"x.csv{suffix}", label="y")[0])[0].labels.tolist() == [0, 1]

    @pytest.mark.parametrize("suffix", PACKERS)
    def test_damage_is_named(self, tmp_path: Path, opened: Open, suffix: str) -> None:
        rng = np.random.default_rng(0)
        text = "a,y\n" + "".join(f"{v},0\n" for v in rng.normal(size=8_000))
        whole = PACKERS[suffix](text.encode())
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 0x55
        # Arrow writes Zstandard without checksums
        for damaged in (whole[: len(whole) // 2], whole[:-3], bytes(flipped))[: 2 if suffix == ".zst" else 3]:
            (tmp_path / f"x.csv{suffix}").write_bytes(damaged)
            problem = problem_of(lambda: everything(opened(f"x.csv{suffix}", f"x.csv{suffix}", label="y")[0]))

            assert problem.file == str(tmp_path / f"x.csv{suffix}")

    @pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
    def test_bombs(self, tmp_path: Path, opened: Open, monkeypatch, suffix: str) -> None:
        monkeypatch.setattr(compression, "RATIO_MATTERS_FROM_BYTES", 2**20)
        (tmp_path / f"x.csv{suffix}").write_bytes(PACKERS[suffix](b"a,y\n" + b"1,0\n" * 600_000))
        problem = problem_of(lambda: everything(opened(f"x.csv{suffix}", f"x.csv{suffix}", label="y")[0]))

        assert problem.code == "data_compression_ratio"

    def test_formats_that_are_read_out_of_order(self, tmp_path: Path, opened: Open) -> None:
        feather.write_feather(TABLE, tmp_path / "x.feather")
        (tmp_path / "x.feather.gz").write_bytes(gzip.compress((tmp_path / "x.feather").read_bytes()))
        problem = problem_of(lambda: opened("x.feather.gz", "x.feather.gz", label="y"))

        assert problem.code == "data_format_unsupported"
        assert "unpack" in problem.detail


class TestArrow:
    def write(self, path: Path, table: pa.Table, kind: str) -> None:
        if kind == "feather":
            feather.write_feather(table, path, compression="zstd")
        else:
            new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
            with new(str(path), table.schema) as writer:
                writer.write_table(table, max_chunksize=2)

    @pytest.mark.parametrize("kind", ["feather", "file", "stream"])
    def test_comes_back(self, tmp_path: Path, opened: Open, kind: str) -> None:
        self.write(tmp_path / "x.arrow", TABLE, kind)
        (batch,) = everything(opened("x.arrow", "x.arrow", label="y")[0])

        np.testing.assert_array_equal(batch.features["n"], [1.5, np.nan, -2.0])
        assert batch.features["i"].tolist() == [1, 2, 3]
        assert batch.features["s"].tolist() == ["a", None, "ü"]
        assert batch.features["b"].tolist() == [1.0, 0.0, 1.0]

    @pytest.mark.parametrize(
        ("suffix", "code"),
        [("feather", "data_malformed"), ("parquet", "data_malformed"), ("jsonl", "data_encoding")],
    )
    def test_names_that_are_no_text(self, tmp_path: Path, opened: Open, suffix: str, code: str) -> None:
        frame = pd.DataFrame({"abcdefgh": [1, 2], "y": [0, 1]})
        if suffix == "jsonl":
            frame.to_json(tmp_path / "x.jsonl", orient="records", lines=True)
        else:
            getattr(frame, f"to_{suffix}")(tmp_path / f"x.{suffix}")
        whole = (tmp_path / f"x.{suffix}").read_bytes()
        (tmp_path / f"x.{suffix}").write_bytes(whole.replace(b"abcdefgh", b"abcdefg\xff"))
        problem = problem_of(lambda: opened(f"x.{suffix}", f"x.{suffix}", label="y"))

        assert (problem.code, problem.file) == (code, str(tmp_path / f"x.{suffix}"))

    def test_lists_are_columns(self, tmp_path: Path, opened: Open) -> None:
        table = pa.table(
            {
                "f": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
                "v": [[1, 2, 3], [4, 5, 6]],
                "y": [[1, 0], [0, 1]],
            }
        )
        self.write(tmp_path / "x.arrow", table, "file")
        train, _ = opened("x.arrow", "x.arrow", label="y")
        (batch,) = everything(train)

        assert batch.features.columns.tolist() == ["f[0]", "f[1]", "v[0]", "v[1]", "v[2]"]
        assert batch.features.to_numpy().tolist() == [[1, 2, 1, 2, 3], [3, 4, 4, 5, 6]]
        assert batch.labels.tolist() == [[1, 0], [0, 1]]
        assert train.describe()["vectors"] == {"f": 2, "v": 3, "y": 2}
        (chosen,) = everything(opened("x.arrow", "x.arrow", label="y", features=["v", "f[1]"])[0])
        assert chosen.features.columns.tolist() == ["v[0]", "v[1]", "v[2]", "f[1]"]

    @pytest.mark.parametrize("second", [[1.0], None, [1.0, 2.0, 3.0]])
    def test_lists_of_another_length(self, tmp_path: Path, opened: Open, second: list | None) -> None:
        self.write(tmp_path / "x.arrow", pa.table({"f": [[1.0, 2.0], [3.0, 4.0], second], "y": [0, 1, 0]}), "file")
        problem = problem_of(lambda: everything(opened("x.arrow", "x.arrow", label="y")[0]))

        assert (problem.code, problem.column, problem.row) == ("feature_shape_mismatch", "f", 2)

    def test_large_batches_come_in_pieces(self, tmp_path: Path, opened: Open) -> None:
        table = pa.table({"a": np.arange(50_000), "y": np.zeros(50_000)})
        with pa.ipc.new_file(str(tmp_path / "x.arrow"), table.schema) as writer:
            writer.write_table(table)
        batches = everything(opened("x.arrow", "x.arrow", label="y")[0])

        assert np.concatenate([b.features["a"] for b in batches]).tolist() == list(range(50_000))


class TestIndexOfPandas:
    """Rows that were drawn or filtered keep their numbers, which pandas writes as a column and reads as none."""

    @pytest.fixture
    def drawn(self) -> pd.DataFrame:
        return pd.DataFrame({"a": [1, 2, 3], "y": [0, 1, 0]}, index=pd.Index([7, 3, 5]))

    @pytest.mark.parametrize("suffix", [".parquet", ".feather"])
    def test_is_no_feature(self, tmp_path: Path, opened: Open, drawn: pd.DataFrame, suffix: str) -> None:
        write = parquet.write_table if suffix == ".parquet" else feather.write_feather
        write(pa.Table.from_pandas(drawn), tmp_path / f"x{suffix}")
        train, _ = opened(f"x{suffix}", f"x{suffix}", label="y")

        assert everything(train)[0].features.to_dict("list") == {"a": [1, 2, 3]}
        assert train.describe()["ignored_columns"] == ["__index_level_0__"]

    def test_may_be_asked_for(self, tmp_path: Path, opened: Open, drawn: pd.DataFrame) -> None:
        drawn.rename_axis("key").to_parquet(tmp_path / "x.parquet")
        spec = tuple(TensorSpec(name, "float32", (None, 1)) for name in ("a", "key"))
        model = ModelDescription("m", "serve", ("serve",), ("serve",), spec, spec[:1], "2.20.0")

        for request, features in (
            ({}, ["a"]),
            ({"id": "key"}, ["a"]),
            ({"features": ["key", "a"]}, ["key", "a"]),
            ({"options": {"model": model}}, ["a", "key"]),
        ):
            train, _ = opened("x.parquet", "x.parquet", label="y", **request)
            assert [column.name for column in train.columns] == features
        assert everything(opened("x.parquet", "x.parquet", label="y", id="key")[0])[0].roles["id"].tolist() == [7, 3, 5]

    @pytest.mark.parametrize("note", [b"{", b"[]", b'{"index_columns": 3}', b'{"index_columns": [["a"]]}', b"\xff"])
    def test_notes_that_say_nothing(self, tmp_path: Path, opened: Open, drawn: pd.DataFrame, note: bytes) -> None:
        table = pa.Table.from_pandas(drawn, preserve_index=False).replace_schema_metadata({b"pandas": note})
        parquet.write_table(table, tmp_path / "x.parquet")

        assert everything(opened("x.parquet", "x.parquet", label="y")[0])[0].features["a"].tolist() == [1, 2, 3]


class TestJsonLines:
    def test_comes_back(self, tmp_path: Path, opened: Open) -> None:
        TABLE.to_pandas().to_json(tmp_path / "x.jsonl", orient="records", lines=True, force_ascii=False)
        (batch,) = everything(opened("x.jsonl", "x.jsonl", label="y")[0])

        np.testing.assert_array_equal(batch.features["n"], [1.5, np.nan, -2.0])
        assert batch.features["s"].tolist() == ["a", None, "ü"]
        assert batch.features["i"].dtype == np.int64

    def test_whole_numbers_beyond_2_to_the_53_keep_every_digit(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "x.jsonl").write_bytes(lines({"a": 2**60 + 1, "y": 0}, {"a": -5, "y": 1}))

        assert everything(opened("x.jsonl", "x.jsonl", label="y")[0])[0].features["a"].tolist() == [2**60 + 1, -5]

    def test_keys_that_come_and_go(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "x.json").write_bytes(lines({"a": 1, "y": 0}, {"y": 1, "b": 2}))
        (batch,) = everything(opened("x.json", "x.json", label="y")[0])

        np.testing.assert_array_equal(batch.features[["a", "b"]], [[1, np.nan], [np.nan, 2]])

    def test_fractions_after_whole_numbers(self, tmp_path: Path, opened: Open, monkeypatch) -> None:
        from audits.sources.tables import json_file  # noqa: PLC0415

        monkeypatch.setattr(json_file, "HEAD_BYTES", 64)
        (tmp_path / "x.jsonl").write_bytes(lines(*[{"a": 1, "y": 0}] * 50, {"a": 2.5, "y": 1}))

        assert everything(opened("x.jsonl", "x.jsonl", label="y")[0])[0].features["a"].iloc[-1] == 2.5

    @pytest.mark.parametrize(
        ("tail", "code"),
        [
            (lines({"a": "x", "y": 0}), "text_in_numeric_column"),
            (lines({"a": [1], "y": 0}), "column_types_differ"),
            (b'{"a": 1, "y"', "data_malformed"),
            (b"[1, 2]\n", "data_malformed"),
            (b'{"a": 1, "y": "\xff"}\n', "data_encoding"),
            (b"nonsense\n", "data_malformed"),
        ],
    )
    @pytest.mark.parametrize("rows", [3, 70_000])
    def test_what_is_wrong_names_the_row(self, tmp_path: Path, opened: Open, tail: bytes, code: str, rows: int) -> None:
        (tmp_path / "x.jsonl").write_bytes(lines({"a": 1, "y": 0}) * rows + tail)
        problem = problem_of(lambda: everything(opened("x.jsonl", "x.jsonl", label="y")[0]))

        assert (problem.code, problem.row) == (code, rows)

    def test_an_array_says_how_to_write_lines(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "x.json").write_text('[{"a": 1, "y": 0}]')

        assert "lines=True" in problem_of(lambda: opened("x.json", "x.json", label="y")).detail

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        rows=st.lists(
            st.fixed_dictionaries(
                {
                    "n": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
                    "i": st.integers(-(2**53), 2**53),
                    "s": st.text(st.characters(exclude_categories=["Cs"]), max_size=5).map("w{}".format),
                }
            ),
            min_size=1,
        )
    )
    def test_what_is_written_comes_back(self, rows: list[dict], tmp_path: Path) -> None:
        (tmp_path / "x.jsonl").write_bytes(lines(*[{**row, "y": k} for k, row in enumerate(rows)]))
        data = Data.model_validate({"train": {"uri": "x.jsonl"}, "validation": {"uri": "x.jsonl"}, "label": "y"})
        read = pd.concat([b.features for b in everything(open_splits(data, Roots((tmp_path,)))[0])])

        np.testing.assert_array_equal(read["n"], np.array([row["n"] for row in rows], dtype=float))
        assert read["i"].tolist() == [row["i"] for row in rows]
        assert read["s"].tolist() == [row["s"] for row in rows]


class TestTfRecord:
    def write(self, path: Path, *examples: bytes) -> bytes:
        raw = b"".join(map(record, examples))
        path.write_bytes(raw)
        return raw

    def test_features_are_columns(self, tmp_path: Path, opened: Open) -> None:
        self.write(
            tmp_path / "x.tfrecord",
            example(age=39, size=1.5, word=b"a", v=[1.0, 2.0], y=0),
            example(size=2.5, word="ü".encode(), v=[3.0, 4.0], y=1),
        )
        train, _ = opened("x.tfrecord", "x.tfrecord", label="y")
        (batch,) = everything(train)

        assert batch.features.columns.tolist() == ["age", "size", "v[0]", "v[1]", "word"]
        np.testing.assert_array_equal(batch.features["age"], [39, np.nan])
        assert batch.features["size"].tolist() == [1.5, 2.5]
        assert batch.features["word"].tolist() == ["a", "ü"]
        assert batch.features["v[1]"].tolist() == [2.0, 4.0]
        assert (batch.labels.tolist(), batch.labels.dtype) == ([0, 1], np.int64)
        assert train.describe()["vectors"] == {"v": 2}

    def test_zlib_and_parts(self, tmp_path: Path, opened: Open) -> None:
        raw = self.write(tmp_path / "x", example(a=1, y=0))
        for part in range(2):
            (tmp_path / f"d.tfrecord-0000{part}-of-00002").write_bytes(zlib.compress(raw))
        train, _ = opened("d.tfrecord*", "x", label="y")

        assert sum(map(len, everything(train))) == 2
        assert train.describe()["compression"] == "zlib"

    @pytest.mark.parametrize("name", WRITTEN_BY_TENSORFLOW)
    def test_what_tensorflow_writes(self, tmp_path: Path, opened: Open, name: str) -> None:
        (tmp_path / name).write_bytes(bytes.fromhex(WRITTEN_BY_TENSORFLOW[name]))
        (batch,) = everything(opened(name, name, label="y")[0])

        assert batch.features.to_dict("list") == {"a": [7], "v[0]": [1.5], "v[1]": [-2.0]}
        assert batch.labels.tolist() == [1]

    @pytest.mark.parametrize(
        ("change", "row"),
        [
            (lambda raw: raw[:-1], 2),
            (lambda raw: raw[:-20], 2),
            (lambda raw: raw[:15] + b"\x00" + raw[16:], 0),
            (lambda raw: raw[:-2] + b"zz", 2),
            (lambda raw: raw + record(b"\xff\xff\xff"), 3),
            (lambda raw: raw + struct.pack("<Q", 2**40) + struct.pack("<I", masked_crc(struct.pack("<Q", 2**40))), 3),
        ],
    )
    def test_damage_names_the_record(self, tmp_path: Path, opened: Open, change: Callable, row: int) -> None:
        raw = self.write(tmp_path / "x.tfrecord", *(example(a=k, y=0) for k in range(3)))
        (tmp_path / "x.tfrecord").write_bytes(change(raw))
        problem = problem_of(lambda: everything(opened("x.tfrecord", "x.tfrecord", label="y")[0]))

        assert (problem.code, problem.row) == ("data_malformed", row)

    @pytest.mark.parametrize(
        ("odd", "code"),
        [
            ({"v": [1.0], "a": 1}, "feature_shape_mismatch"),
            ({"a": 1}, "feature_shape_mismatch"),
            ({"v": [1.0, 2.0], "a": [1, 2]}, "feature_shape_mismatch"),
            ({"v": [1.0, 2.0], "a": b"x"}, "column_types_differ"),
        ],
    )
    def test_records_unlike_the_first(self, tmp_path: Path, opened: Open, odd: dict, code: str) -> None:
        usual = example(v=[1.0, 2.0], a=1, y=0)
        self.write(tmp_path / "x.tfrecord", *[usual] * 300, example(y=1, **odd))
        problem = problem_of(lambda: everything(opened("x.tfrecord", "x.tfrecord", label="y")[0]))

        assert (problem.code, problem.row) == (code, 300)

    def test_bytes_that_are_no_text(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path / "x.tfrecord", example(image=b"\x89PNG\xff", a=1, y=0))
        problem = problem_of(lambda: everything(opened("x.tfrecord", "x.tfrecord", label="y")[0]))

        assert (problem.code, problem.column) == ("column_type_unsupported", "image")
        assert everything(opened("x.tfrecord", "x.tfrecord", label="y", exclude=["image"])[0])

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        rows=st.lists(
            st.tuples(st.floats(width=32, allow_nan=False), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5)),
            min_size=1,
        )
    )
    def test_what_is_written_comes_back(self, rows: list[tuple], tmp_path: Path) -> None:
        written = [
            example(n=n, i=i, s=("w" + s).encode("utf-8", "ignore").replace(b"\0", b""), y=k)
            for k, (n, i, s) in enumerate(rows)
        ]
        (tmp_path / "x.tfrecord").write_bytes(b"".join(map(record, written)))
        data = Data.model_validate({"train": {"uri": "x.tfrecord"}, "validation": {"uri": "x.tfrecord"}, "label": "y"})
        read = pd.concat([b.features for b in everything(open_splits(data, Roots((tmp_path,)))[0])])

        assert read["n"].tolist() == [row[0] for row in rows]
        assert read["i"].tolist() == [row[1] for row in rows]


class TestHdf5:
    def test_arrays(self, tmp_path: Path, opened: Open) -> None:
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("x", data=np.arange(12.0).reshape(4, 3), chunks=(2, 3), compression="gzip")
            file["y"] = np.array([0, 1, 1, 0])
            file["note"] = "made by hand"
        train, _ = opened("x.h5", "x.h5")

        assert train.layout == "array"
        assert (
            np.concatenate([b.features for b in everything(train, 3)]).tolist()
            == np.arange(12.0).reshape(4, 3).tolist()
        )

    def test_texts_and_groups(self, tmp_path: Path, opened: Open) -> None:
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["train/images"] = np.zeros((2, 3))
            file["train/labels"] = np.array(["no", "yes"], dtype=h5py.string_dtype())
        reference = {"uri": "x.h5", "key": "train"}
        data = Data.model_validate({"train": reference, "validation": reference})
        (batch,) = everything(open_splits(data, Roots((tmp_path,)))[0])

        assert batch.labels.tolist() == ["no", "yes"]

    def test_named_fields(self, tmp_path: Path, opened: Open) -> None:
        rows = np.array(
            [(1, 2.5, b"a", 0), (2, 3.5, b"b", 1)], dtype=[("i", ">i4"), ("f", "f8"), ("s", "S3"), ("y", "i1")]
        )
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["rows"] = rows
        (batch,) = everything(opened("x.h5", "x.h5", label="y")[0])

        assert batch.features.to_dict("list") == {"i": [1, 2], "f": [2.5, 3.5], "s": ["a", "b"]}

    @pytest.mark.parametrize("options", [{"format": "fixed"}, {"format": "table", "data_columns": True}])
    def test_pandas(self, tmp_path: Path, opened: Open, options: dict) -> None:
        pytest.importorskip("tables")
        frame = pd.DataFrame(
            {"f": [1.5, 2.5], "i": [1, 2], "t": pd.to_datetime(["2020-01-01", "2021-01-01"]), "y": [0, 1]}
        )
        frame.to_hdf(tmp_path / "x.h5", key="df", **options)
        (batch,) = everything(opened("x.h5", "x.h5", label="y")[0])

        assert batch.features["f"].tolist() == [1.5, 2.5]
        assert batch.features["i"].tolist() == [1, 2]
        assert batch.features["t"].tolist() == frame["t"].tolist()

    def test_pickles_in_pandas_are_refused(self, tmp_path: Path, opened: Open) -> None:
        pytest.importorskip("tables")
        pd.DataFrame({"f": [1.5, 2.5], "y": [0, 1]}).to_hdf(tmp_path / "x.h5", key="df", format="table")
        problem = problem_of(lambda: opened("x.h5", "x.h5", label="y"))

        assert problem.code == "data_pickle_forbidden"
        assert "data_columns=True" in problem.detail

    def test_links_to_other_files_are_not_followed(self, tmp_path: Path, opened: Open) -> None:
        with h5py.File(tmp_path / "secret.h5", "w") as file:
            file["y"] = np.arange(3)
        np.arange(3.0).tofile(tmp_path / "raw")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = np.zeros((3, 2))
            file["y"] = h5py.ExternalLink("secret.h5", "/y")
        assert problem_of(lambda: opened("x.h5", "x.h5")).code == "label_missing"

        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = np.zeros((3, 2))
            file.create_dataset("y", (3,), "f8", external=[(str(tmp_path / "raw"), 0, 24)])
        assert problem_of(lambda: opened("x.h5", "x.h5")).code == "data_malformed"

    def test_rows_that_are_not_there(self, tmp_path: Path, opened: Open) -> None:
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("x", (10**9, 30), "f4", chunks=(100, 30))
            file.create_dataset("y", (10**9,), "f4", chunks=(100,))

        assert problem_of(lambda: opened("x.h5", "x.h5")).code == "data_compression_ratio"

    def test_several_tables(self, tmp_path: Path, opened: Open) -> None:
        rows = np.array([(1, 0), (2, 1)], dtype=[("a", "i4"), ("y", "i1")])
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["one"] = file["two"] = rows
        assert problem_of(lambda: opened("x.h5", "x.h5", label="y")).code == "data_ambiguous"

        reference = {"uri": "x.h5", "key": "two"}
        data = Data.model_validate({"train": reference, "validation": reference, "label": "y"})
        assert len(everything(open_splits(data, Roots((tmp_path,)))[0])) == 1


def test_snapshots_are_refused_with_what_to_write(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_spec.pb").write_bytes(b"x")
    problem = problem_of(lambda: opened("saved", "saved", label="y"))

    assert problem.code == "data_format_unsupported"
    assert "TFRecord" in problem.detail


@pytest.mark.parametrize(
    ("start", "advice"),
    [
        (b"SQLite format 3\0", "read_sql"),
        (b"ORC\n\x03..", "read_orc"),
        (b"\x80\x04\x95", "could run code"),
        (b"MATLAB 5.0 MAT-file", "loadmat"),
        (b"\xd0\xcf\x11\xe0", "read_excel"),
        (b"@RELATION iris\n@DATA\n", "loadarff"),
        (b"1 1:0.5 7:2\n0 2:1\n", "load_svmlight_file"),
        (b"FEA1\0\0\0\0", "version 2"),
    ],
)
def test_other_formats_say_what_to_convert_to(tmp_path: Path, opened: Open, start: bytes, advice: str) -> None:
    (tmp_path / "x.bin").write_bytes(start)

    assert advice in problem_of(lambda: opened("x.bin", "x.bin", label="y")).detail


def test_workbooks_are_no_archives_of_arrays(tmp_path: Path, opened: Open) -> None:
    import zipfile  # noqa: PLC0415

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    (tmp_path / "x.xlsx").write_bytes(buffer.getvalue())

    assert "read_excel" in problem_of(lambda: opened("x.xlsx", "x.xlsx", label="y")).detail


@pytest.mark.parametrize("name", ["x.jsonl", "upload"])
def test_json_lines_after_a_byte_order_mark(tmp_path: Path, opened: Open, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + lines({"a": 1, "y": 0}, {"a": 2, "y": 1}))

    assert everything(opened(name, name, label="y")[0])[0].features["a"].tolist() == [1, 2]
