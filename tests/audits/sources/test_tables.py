"""Tables: what is read from CSV and Parquet, and what is refused, with the culprit named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from audits.artefacts import ModelDescription, Split, TensorSpec
from audits.sources import open_splits
from audits.sources.locations import Roots
from audits.sources.tables import csv_file
from schemas.data import Data
from schemas.problem import DataError, ProblemError
from tests.audits.sources.conftest import everything

Open = Callable[..., tuple[Split, Split]]


def model(*specs: TensorSpec) -> ModelDescription:
    return ModelDescription("m", "s", ("s",), ("serve",), specs, (), "2.21")


def problem_of(action: Callable[[], Any]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value


class TestCsv:
    @pytest.fixture
    def read(self, tmp_path: Path, opened: Open) -> Callable[..., pd.DataFrame]:
        """The features of a text that is both splits; its label is y."""

        def read_(text: str | bytes, **data: object) -> pd.DataFrame:
            (tmp_path / "x.csv").write_bytes(text.encode() if isinstance(text, str) else text)
            train, _ = opened("x.csv", "x.csv", **{"label": "y", **data})
            (batch,) = everything(train)
            assert isinstance(batch.features, pd.DataFrame)
            return batch.features

        return read_

    def test_kinds(self, read) -> None:
        rows = read(
            "whole,real,truth,word,day,y\n1,1.5,True,a,2020-01-02,0\n2,-2e3,false,,2021-03-04 05:06:07,1\n",
        )

        assert rows["whole"].dtype == np.int64
        assert rows["real"].tolist() == [1.5, -2000.0]
        assert rows["truth"].tolist() == [1.0, 0.0]
        assert rows["word"].dtype == object
        assert rows["word"].tolist() == ["a", None]
        assert rows["day"].tolist() == [pd.Timestamp("2020-01-02"), pd.Timestamp("2021-03-04 05:06:07")]

    def test_whole_numbers_beyond_2_to_the_53_keep_every_digit(self, read) -> None:
        rows = read(f"a,b,y\n{2**60 + 1},{2**60 + 1},0\n-5,?,1\n")

        assert rows["a"].tolist() == [2**60 + 1, -5]
        assert rows["b"].isna().tolist() == [False, True]

    def test_a_fraction_after_whole_numbers_beyond_2_to_the_53(self, read) -> None:
        assert read(f"a,y\n{2**60},0\n0.5,1\n")["a"].tolist() == [2.0**60, 0.5]

    def test_days_before_and_after_those_that_nanoseconds_can_tell(self, read) -> None:
        days = read("day,y\n2020-01-02,0\n9999-12-31,1\n0001-01-01,0\n")["day"]

        assert days.tolist() == [pd.Timestamp("2020-01-02"), pd.Timestamp("2262-04-11"), pd.Timestamp("1677-09-22")]

    @pytest.mark.parametrize("hole", ["", "NA", "NaN", "nan", "null", "None", "N/A", "?", " ?", " "])
    def test_spellings_of_holes_in_numbers(self, read, hole: str) -> None:
        rows = read(f"a,b,y\n1,2.5,0\n{hole},{hole},1\n")

        assert rows["a"].dtype == np.float64
        assert rows.isna().to_numpy().tolist() == [[False, False], [True, True]]

    def test_spellings_of_holes_are_recorded(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "x.csv").write_text("a,b,y\n1,2,0\n?,NA,1\nNaN,3,1\n")
        train, _ = opened("x.csv", "x.csv", label="y")

        assert train.describe()["holes_spelled"] == {"a": ["?", "NaN"], "b": ["NA"]}

    def test_words_stay_as_they_are_written(self, read) -> None:
        """ "None" and "?" may be categories that the model knows."""
        assert read("a,y\nNone,0\n?,1\nNA,1\n x ,0\n")["a"].tolist() == ["None", "?", "NA", " x "]

    def test_a_column_of_holes_is_one_of_numbers(self, read) -> None:
        assert read("a,b,y\n1,,0\n2,,1\n")["b"].isna().all()

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_delimiters(self, read, delimiter: str) -> None:
        text = 'a,b,y\n1,"x;x,x|x\tx",0\n2,z z,1\n'
        rows = read(text.replace(",", delimiter) if delimiter != "," else text)

        assert rows["a"].tolist() == [1, 2]
        assert rows["b"].tolist()[1] == "z z"

    def test_decimal_commas(self, read) -> None:
        assert read("a;b;y\n1,5;x;0\n-2;z;1\n")["a"].tolist() == [1.5, -2.0]

    def test_a_comma_in_a_word_is_no_decimal_sign(self, read) -> None:
        rows = read("a;b;y\n1,5;2.5;0\nabout two;3.5;1\n")

        assert rows["a"].tolist() == ["1,5", "about two"]
        assert rows["b"].tolist() == [2.5, 3.5]

    def test_quotes_line_breaks_and_blank_lines(self, read) -> None:
        assert read('a,y\n"x, ""1""\ny",0\n\nz,1\n')["a"].tolist() == ['x, "1"\ny', "z"]

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_byte_order_mark_and_line_ends(self, read, end: str) -> None:
        rows = read(("\ufeffä,y\n1,0\n2,1\n").replace("\n", end))

        assert rows.columns.tolist() == ["ä"]
        assert rows["ä"].tolist() == [1, 2]

    def test_columns_without_a_name_are_left_out(self, tmp_path: Path, opened: Open) -> None:
        """pandas writes its index so."""
        (tmp_path / "x.csv").write_text(",a,y\n0,5,0\n1,6,1\n")
        train, _ = opened("x.csv", "x.csv", label="y")

        assert [column.name for column in train.columns] == ["a"]
        assert train.describe()["ignored_columns"] == ["(without a name)"]

    def test_whole_numbers_with_a_fraction_later(self, read, monkeypatch) -> None:
        monkeypatch.setattr(csv_file, "HEAD_BYTES", 20)
        rows = read("a,y\n" + "1,0\n" * 100 + "2.5,1\n")

        assert rows["a"].iloc[-1] == 2.5

    @pytest.mark.parametrize(
        ("text", "code", "where"),
        [
            (b"a,y\n1,0\n2\n", "data_malformed", {"row": 1}),
            (b"a,y\n1,0\n" + b"2,1\n" * 5 + b"2,1,1\n", "data_malformed", {"row": 6}),
            (b"a,y\n\xc3\xa9,0\n\xe9,1\n", "data_encoding", {}),
            (b"a,y\n1,0\n2\0,1\n" + b"3,1\n" * 200, "data_format_mismatch", {}),
            (b"a,y\n" + b"1,0\n" * 300 + b"2\0,1\n", "data_malformed", {}),
            (b'a,y\n1,0\n"2,1\n3,1\n', "data_malformed", {"row": 1}),
            (b'a,y\n1,x\n2,"x\n3,x\n', "data_malformed", {"row": 1}),
            (b"a,a,y\n1,2,0\n", "column_duplicated", {"column": "a"}),
            (b"a," * 10_001 + b"y\n", "data_too_many_columns", {}),
            (b"", "data_empty", {}),
            (b"\n\n", "data_empty", {}),
            (b"a,y\n", "data_empty", {}),
            (b"a,y\n" + b"x" * 200_000 + b",0\n", "data_cell_too_large", {}),
        ],
    )
    def test_what_cannot_be_read(self, read, text: bytes, code: str, where: dict) -> None:
        problem = problem_of(lambda: read(text))

        assert problem.code == code
        assert problem.file is not None
        assert problem.file.endswith("x.csv")
        for name, value in where.items():
            assert getattr(problem, name) == value

    def test_the_byte_that_is_not_utf8_is_named(self, read) -> None:
        assert "at byte 9" in problem_of(lambda: read(b"\xc3\xa9,y\n1,0\n\xe9,1\n")).detail

    def test_bad_bytes_and_rows_are_named_wherever_they_are(self, read) -> None:
        many = b"word,1\n" * 300_000
        bad_byte = problem_of(lambda: read(b"\xc3\xa9,y\n" + many + b"w\xe9,0\n"))
        ragged = problem_of(lambda: read(b"a,y\n" + many + b"w\n"))

        assert bad_byte.code == "data_encoding"
        assert f"at byte {5 + len(many) + 1:,}" in bad_byte.detail
        assert (ragged.code, ragged.row) == ("data_malformed", 300_000)

    def test_text_far_down_in_a_column_of_numbers(self, read) -> None:
        problem = problem_of(lambda: read("a,b,y\n" + "1,2,0\n" * 300_000 + "1,2.x,0\n"))

        assert (problem.code, problem.row, problem.column) == ("text_in_numeric_column", 300_000, "b")
        assert "'2.x'" in problem.detail

    def test_text_far_down_among_decimal_commas(self, read) -> None:
        problem = problem_of(lambda: read("a;y\n" + "1,5;0\n" * 300_000 + "x;0\n"))

        assert (problem.code, problem.row) == ("text_in_numeric_column", 300_000)

    @pytest.mark.parametrize(("usual", "odd"), [("True", "maybe"), ("2020-01-01", "yesterday")])
    def test_another_type_far_down(self, read, usual: str, odd: str) -> None:
        problem = problem_of(lambda: read("a,y\n" + f"{usual},0\n" * 300_000 + f"{odd},0\n"))

        assert (problem.code, problem.row, problem.column) == ("column_types_differ", 300_000, "a")
        assert repr(odd) in problem.detail

    def test_the_offending_text_is_cut(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "t.csv").write_text("a,y\n1,0\n2,1\n")
        (tmp_path / "v.csv").write_text("a,y\n" + "z" * 500 + ",0\n")
        problem = problem_of(lambda: opened("t.csv", "v.csv", label="y"))

        assert "'" + "z" * 40 + "'" in problem.detail

    def test_a_header_that_looks_like_data(self, read) -> None:
        problem = problem_of(lambda: read("1,2,0\n3,4,1\n"))

        assert problem.code == "label_missing"
        assert "was not taken for a header" in problem.detail

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        rows=st.lists(
            st.tuples(
                st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
                st.integers(-(2**53), 2**53),
                st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6),
                st.booleans(),
            ),
            min_size=1,
            max_size=30,
        ),
        batch=st.integers(1, 7),
    )
    def test_what_pandas_writes_comes_back(self, rows, batch: int, tmp_path: Path) -> None:
        # the letter keeps texts from being numbers, dates or truth values
        written = pd.DataFrame(
            {
                "n": [r[0] for r in rows],
                "i": [r[1] for r in rows],
                "s": ["w" + r[2] for r in rows],
                "b": [r[3] for r in rows],
            }
        )
        written["n"] = written["n"].astype(float)
        written.assign(y=range(len(rows))).to_csv(tmp_path / "x.csv", index=False)
        data = Data.model_validate({"train": {"uri": "x.csv"}, "validation": {"uri": "x.csv"}, "label": "y"})
        batches = everything(open_splits(data, Roots((tmp_path,)))[0], batch)
        read = pd.concat([b.features for b in batches], ignore_index=True)

        np.testing.assert_array_equal(read["n"].to_numpy(dtype=float), written["n"].to_numpy())
        assert read["i"].tolist() == written["i"].tolist()
        assert read["s"].tolist() == written["s"].tolist()
        assert read["b"].tolist() == written["b"].astype(float).tolist()
        assert np.concatenate([b.labels for b in batches]).tolist() == list(range(len(rows)))


class TestParquet:
    def write(self, path: Path, **columns: object) -> None:
        parquet.write_table(pa.table(columns), path, row_group_size=3)

    def test_kinds(self, tmp_path: Path, opened: Open) -> None:
        day = pd.Timestamp("2020-01-02 03:04:05")
        self.write(
            tmp_path / "x.parquet",
            i=pa.array([1, 2], pa.int8()),
            holes=pa.array([1, None], pa.int64()),
            big=pa.array([2**60 + 1, 2], pa.int64()),
            u=pa.array([2**64 - 1, 2], pa.uint64()),
            f=pa.array([1.5, None], pa.float32()),
            money=pa.array([1, 2]).cast(pa.decimal128(25, 2)),
            b=pa.array([True, None]),
            s=pa.array(["a", None]),
            d=pa.array(["c", "d"]).dictionary_encode(),
            code=pa.array([7, 8]).dictionary_encode(),
            view=pa.array(["e", "f"], pa.string_view()),
            day=pa.array([day.date(), None]),
            t=pa.array([day, None], pa.timestamp("us", tz="Europe/Berlin")),
            none=pa.nulls(2),
            y=pa.array(["no", "yes"]),
        )
        train, _ = opened("x.parquet", "x.parquet", label="y")
        (batch,) = everything(train)
        rows = batch.features

        assert [c.kind for c in train.columns] == [
            *["number"] * 6, "boolean", "string", "string", "number", "string", "time", "time", "number",
        ]  # fmt: skip
        assert rows["i"].dtype == rows["big"].dtype == np.int64
        assert rows["big"][0] == 2**60 + 1
        assert rows["holes"].dtype == rows["u"].dtype == rows["money"].dtype == rows["b"].dtype == np.float64
        assert rows["holes"].isna().tolist() == rows["f"].isna().tolist() == rows["b"].isna().tolist() == [False, True]
        assert rows["s"].tolist() == ["a", None]
        assert rows["d"].tolist() == ["c", "d"]
        assert rows["code"].tolist() == [7, 8]
        assert rows["view"].tolist() == ["e", "f"]
        assert rows["day"][0] == day.normalize()
        assert rows["t"][0] == day
        assert rows["none"].isna().all()
        assert batch.labels.tolist() == ["no", "yes"]

    def test_times_before_and_after_those_that_nanoseconds_can_tell(self, tmp_path: Path, opened: Open) -> None:
        times = pa.array(["9999-12-31", None, "0001-01-01", "2020-01-02T03:04:05.000006"]).cast(pa.timestamp("us"))
        self.write(tmp_path / "x.parquet", until=times, y=pa.array([0, 1, 0, 1]))
        (batch,) = everything(opened("x.parquet", "x.parquet", label="y")[0])

        assert batch.features["until"].tolist() == [
            pd.Timestamp("2262-04-11"),
            pd.NaT,
            pd.Timestamp("1677-09-22"),
            pd.Timestamp("2020-01-02T03:04:05.000006"),
        ]

    @pytest.mark.parametrize("type_", [pa.list_(pa.int64()), pa.binary(), pa.struct([("a", pa.int64())])])
    def test_types_that_are_no_feature(self, tmp_path: Path, opened: Open, type_: pa.DataType) -> None:
        self.write(tmp_path / "x.parquet", a=pa.nulls(2, type_), b=[1, 2], y=[0, 1])
        train, _ = opened("x.parquet", "x.parquet", label="y")
        problem = problem_of(lambda: everything(train))

        assert (problem.code, problem.column) == ("column_type_unsupported", "a")
        train, _ = opened("x.parquet", "x.parquet", label="y", features=["b"])
        assert len(everything(train)) == 1

    def test_damaged_files(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path / "x.parquet", a=[1, 2], y=[0, 1])
        whole = (tmp_path / "x.parquet").read_bytes()
        (tmp_path / "x.parquet").write_bytes(whole[: len(whole) // 2])
        assert problem_of(lambda: opened("x.parquet", "x.parquet", label="y")).code == "data_malformed"

        (tmp_path / "x.parquet").write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])
        damaged = problem_of(lambda: everything(opened("x.parquet", "x.parquet", label="y")[0]))
        assert (damaged.code, damaged.file) == ("data_malformed", str(tmp_path / "x.parquet"))

    def test_a_file_without_rows(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path / "x.parquet", a=pa.array([], pa.int64()), y=pa.array([], pa.int64()))

        assert problem_of(lambda: opened("x.parquet", "x.parquet", label="y")).code == "data_empty"

    def test_two_columns_of_one_name(self, tmp_path: Path, opened: Open) -> None:
        table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([0])], names=["a", "a", "y"])
        parquet.write_table(table, tmp_path / "x.parquet")
        problem = problem_of(lambda: opened("x.parquet", "x.parquet", label="y"))

        assert (problem.code, problem.column) == ("column_duplicated", "a")

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        rows=st.lists(st.tuples(st.floats(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5)), min_size=1),
        batch=st.integers(1, 9),
    )
    def test_what_is_written_comes_back(self, rows, batch: int, tmp_path: Path) -> None:
        n, i, s = (list(values) for values in zip(*rows, strict=True))
        s = [text.encode("utf-8", "ignore").decode() for text in s]
        self.write(tmp_path / "x.parquet", n=n, i=i, s=s, y=list(range(len(rows))))
        data = Data.model_validate({"train": {"uri": "x.parquet"}, "validation": {"uri": "x.parquet"}, "label": "y"})
        batches = everything(open_splits(data, Roots((tmp_path,)))[0], batch)
        read = pd.concat([b.features for b in batches], ignore_index=True)

        np.testing.assert_array_equal(read["n"].to_numpy(), np.array(n))
        assert read["i"].tolist() == i
        assert read["s"].tolist() == s


class TestSplits:
    """What the files of both splits must agree on, and what may differ."""

    def write(self, folder: Path, **files: str) -> None:
        for name, text in files.items():
            (folder / f"{name}.csv").write_text(text)

    def test_the_training_file_orders_the_features(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="b,y,a\n1,0,2\n3,1,4\n", v="a,b,y\n20,10,0\n")
        train, validation = opened("t.csv", "v.csv", label="y")

        for split in (train, validation):
            assert [column.name for column in split.columns] == ["b", "a"]
        assert everything(validation)[0].features.to_dict("list") == {"b": [10], "a": [20]}

    def test_features_select_and_order(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,b,c,y\n1,2,3,0\n4,5,6,1\n")
        train, _ = opened("t.csv", "t.csv", label="y", features=["c", "a"])

        assert everything(train)[0].features.to_dict("list") == {"c": [3, 6], "a": [1, 4]}
        assert train.describe()["ignored_columns"] == ["b"]

    def test_roles_are_no_features(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="id,w,g,t,a,y\nk1,0.5,u,2020-01-01,1,no\nk2,1,v,2020-01-02,2,yes\n")
        train, _ = opened("t.csv", "t.csv", label="y", id="id", weight="w", group="g", time="t")
        (batch,) = everything(train)

        assert list(batch.features.columns) == ["a"]
        assert batch.labels.tolist() == ["no", "yes"]
        assert batch.roles["weight"].tolist() == [0.5, 1.0]
        assert batch.roles["id"].tolist() == ["k1", "k2"]
        assert batch.roles["group"].tolist() == ["u", "v"]
        assert batch.roles["time"].dtype.kind == "M"

    def test_batches_run_over_file_borders(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, p1="a,y\n1,0\n2,1\n3,0\n", p2="y,a\n1,4\n", p3="a,y\n5,0\n6,1\n7,1\n")
        train, _ = opened("p*.csv", "p1.csv", label="y")
        batches = everything(train, 3)

        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert np.concatenate([batch.features["a"] for batch in batches]).tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert len(train.files) == 3

    @pytest.mark.parametrize("rows", [1, 2, 3, 4, 100])
    def test_at_most_max_rows_are_read(self, tmp_path: Path, opened: Open, rows: int) -> None:
        self.write(tmp_path, p1="a,y\n1,0\n2,1\n3,0\n", p2="a,y\n4,0\n")
        train, _ = opened("p*.csv", "p1.csv", label="y", options={"max_rows": rows})

        assert sum(map(len, everything(train, 2))) == min(rows, 4)

    @pytest.mark.parametrize("split", ["train", "validation"])
    def test_a_missing_label_column(self, tmp_path: Path, opened: Open, split: str) -> None:
        self.write(tmp_path, good="a,churned\n1,0\n2,1\n", bad="a,Churned \n1,0\n2,1\n")
        files = ("bad.csv", "good.csv") if split == "train" else ("good.csv", "bad.csv")
        problem = problem_of(lambda: opened(*files, label="churned"))

        assert (problem.code, problem.field, problem.column) == ("label_missing", "data.label", "churned")
        assert "Did you mean 'Churned '?" in problem.detail
        assert split in problem.detail
        assert problem.file == str(tmp_path / "bad.csv")

    def test_a_table_without_a_label(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n")
        problem = problem_of(lambda: opened("t.csv", "t.csv"))

        assert (problem.code, problem.field) == ("label_required", "data.label")
        assert "'a', 'y'" in problem.detail

    def test_a_missing_role_column(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,g,y\n1,1,0\n", v="a,y\n1,0\n")
        problem = problem_of(lambda: opened("t.csv", "v.csv", label="y", group="g"))

        assert (problem.code, problem.field, problem.column) == ("column_missing", "data.group", "g")

    def test_a_missing_feature_that_was_named(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,b,y\n1,1,0\n", v="a,y\n1,0\n")
        problem = problem_of(lambda: opened("t.csv", "v.csv", label="y", features=["a", "b"]))

        assert (problem.code, problem.column, problem.file) == ("feature_missing", "b", str(tmp_path / "v.csv"))
        assert problem.field == "data.validation.uri"

    def test_columns_of_one_split_alone_are_left_out(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,b,y\n1,1,0\n", v="a,c,y\n1,1,0\n")
        train, validation = opened("t.csv", "v.csv", label="y")

        assert [column.name for column in validation.columns] == ["a"]
        assert train.describe()["ignored_columns"] == ["b"]
        assert validation.describe()["ignored_columns"] == ["c"]

    @pytest.mark.parametrize(
        "specs",
        [
            [TensorSpec("x", "float32", (None, 2))],
            [TensorSpec("a", "float32", (None, 1)), TensorSpec("B", "float32", (None, 1))],
        ],
    )
    def test_unless_the_model_needs_them(self, tmp_path: Path, opened: Open, specs: list[TensorSpec]) -> None:
        self.write(tmp_path, t="a,b,y\n1,1,0\n", v="a,c,y\n1,1,0\n")
        problem = problem_of(lambda: opened("t.csv", "v.csv", label="y", options={"model": model(*specs)}))

        assert (problem.code, problem.column, problem.file) == ("feature_missing", "b", str(tmp_path / "v.csv"))

    def test_nothing_in_common(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n", v="b,y\n1,0\n")

        assert problem_of(lambda: opened("t.csv", "v.csv", label="y")).code == "feature_missing"

    @pytest.mark.parametrize("place", ["train", "validation"])
    def test_text_where_the_files_before_hold_numbers(self, tmp_path: Path, opened: Open, place: str) -> None:
        self.write(tmp_path, p1="a,b,y\n1,2,0\n3,4,1\n", p2="a,b,y\n1,2,0\n3,n/k,1\n")
        files = (["p1.csv", "p2.csv"], "p1.csv") if place == "train" else ("p1.csv", "p2.csv")
        problem = problem_of(lambda: opened(*files, label="y"))

        assert (problem.code, problem.column, problem.row) == ("text_in_numeric_column", "b", 1)
        assert problem.file == str(tmp_path / "p2.csv")
        assert problem.field == f"data.{place}.uri"
        assert "'n/k'" in problem.detail

    def test_a_column_of_text_knows_its_first_text(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n?,1\nA-7,1\n")
        train, _ = opened("t.csv", "t.csv", label="y")

        assert train.columns[0].kind == "string"
        assert train.columns[0].text is not None
        assert (train.columns[0].text.value, train.columns[0].text.row) == ("A-7", 2)

    def test_numbers_after_text_are_text(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\nA-7,0\n008,1\n", v="a,y\n007,0\n5,1\n")
        _, validation = opened("t.csv", "v.csv", label="y")

        assert everything(validation)[0].features["a"].tolist() == ["007", "5"]

    def test_what_the_model_takes_as_text_is_read_as_written(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="Zip,y\n00100,0\n1.50,1\n", v="Zip,y\n?,0\n2020-01-01,1\n")
        text = model(TensorSpec("zip", "string", (None,)))
        train, validation = opened("t.csv", "v.csv", label="y", options={"model": text})

        assert everything(train)[0].features["Zip"].tolist() == ["00100", "1.50"]
        assert everything(validation)[0].features["Zip"].tolist() == ["?", "2020-01-01"]

    def test_truth_values_among_numbers_are_numbers(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n0,1\n", v="a,y\nTrue,0\nFalse,1\n")
        _, validation = opened("t.csv", "v.csv", label="y")

        assert everything(validation)[0].features["a"].tolist() == [1.0, 0.0]

    def test_kinds_that_cannot_be_reconciled(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n2020-01-01,0\n2020-01-02,1\n", v="a,y\n1,0\n2,1\n")
        problem = problem_of(lambda: opened("t.csv", "v.csv", label="y"))

        assert (problem.code, problem.column) == ("column_types_differ", "a")

    def test_splits_may_name_their_classes_differently(self, tmp_path: Path, opened: Open) -> None:
        """That is a finding of the audit, and no reason to refuse it."""
        self.write(tmp_path, t="a,y\n1,0\n2,1\n", v="a,y\n1,no\n2,yes\n")
        train, validation = opened("t.csv", "v.csv", label="y")

        assert everything(train)[0].labels.dtype == np.int64
        assert everything(validation)[0].labels.tolist() == ["no", "yes"]

    @pytest.mark.parametrize(("text", "kind"), [("1.0", "i"), ("0.5", "f"), ("True", "i"), ("a", "O")])
    def test_labels(self, tmp_path: Path, opened: Open, text: str, kind: str) -> None:
        self.write(tmp_path, t=f"a,y\n1,{text}\n2,{text}\n")

        assert everything(opened("t.csv", "t.csv", label="y")[0])[0].labels.dtype.kind == kind

    @pytest.mark.parametrize(
        ("good", "bad"), [("0", ""), ("0", "NaN"), ("0", "?"), ("0.5", "inf"), ("no", ""), ("no", "nan")]
    )
    def test_rows_without_a_label(self, tmp_path: Path, opened: Open, good: str, bad: str) -> None:
        self.write(tmp_path, p1=f"a,y\n1,{good}\n", p2=f"a,y\n1,{good}\n2,{good}\n3,{bad}\n")
        _, validation = opened("p1.csv", ["p1.csv", "p2.csv"], label="y")
        problem = problem_of(lambda: everything(validation))

        assert (problem.code, problem.row, problem.column) == ("label_missing_values", 2, "y")
        assert (problem.field, problem.file) == ("data.label", str(tmp_path / "p2.csv"))

    def test_rows_beyond_max_rows_need_no_label(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n2,1\n3,\n")
        train, _ = opened("t.csv", "t.csv", label="y", options={"max_rows": 2})

        assert len(everything(train)[0]) == 2

    def test_nothing_beyond_max_rows_is_judged(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, p1="a,y\n1,0\n2,1\n", p2="a,y\n3,0\n4,\n")
        train, _ = opened("p*.csv", "p1.csv", label="y", options={"max_rows": 3})

        assert sum(map(len, everything(train))) == 3

    def test_a_feature_that_is_named_twice(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n")

        assert problem_of(lambda: opened("t.csv", "t.csv", label="y", features=["a", "a"])).code == "feature_repeated"

    def test_weights_are_numbers(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,w,y\n1,heavy,0\n")
        problem = problem_of(lambda: opened("t.csv", "t.csv", label="y", weight="w"))

        assert (problem.code, problem.field, problem.column) == ("text_in_numeric_column", "data.weight", "w")

    def test_days_as_labels_are_names(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,2020-01-01\n2,2020-01-02\n")

        assert everything(opened("t.csv", "t.csv", label="y")[0])[0].labels.tolist() == ["2020-01-01", "2020-01-02"]

    def test_empty_files_among_others(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, p1="a,y\n", p2="a,y\n1,0\n")
        train, _ = opened("p*.csv", "p2.csv", label="y")

        assert len(everything(train)[0]) == 1
        problem = problem_of(lambda: opened("p2.csv", "p1.csv", label="y"))
        assert (problem.code, problem.field) == ("data_empty", "data.validation.uri")

    def test_formats_are_not_mixed(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n")
        parquet.write_table(pa.table({"a": [1], "y": [0]}), tmp_path / "t.parquet")
        problem = problem_of(lambda: opened(["t.csv", "t.parquet"], "t.csv", label="y"))

        assert (problem.code, problem.field) == ("data_formats_mixed", "data.train.uri")
        assert len(opened("t.csv", "t.parquet", label="y")) == 2

    def test_a_quick_look_opens_few_files(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, p1="a,y\n1,0\n", p2="a,y\nbroken\n")

        assert opened("p*.csv", "p1.csv", label="y", options={"max_files": 1})
        assert problem_of(lambda: opened("p*.csv", "p1.csv", label="y")).code == "data_malformed"

    def test_parquet_text_where_csv_files_hold_numbers(self, tmp_path: Path, opened: Open) -> None:
        self.write(tmp_path, t="a,y\n1,0\n2,1\n")
        parquet.write_table(pa.table({"a": ["5", "?", "six"], "y": [0, 1, 0]}), tmp_path / "v.parquet")
        _, validation = opened("t.csv", "v.parquet", label="y")
        problem = problem_of(lambda: everything(validation))

        assert isinstance(problem, DataError)
        assert (problem.code, problem.row, problem.column) == ("text_in_numeric_column", 2, "a")
