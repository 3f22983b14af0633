"""CSV as people and programs write it: what is found out is said, what cannot be is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audits.artefacts import Split
from audits.sources import Roots, open_splits
from audits.sources.tables import csv_file, csv_text
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything

# Rows in the manner of UCI's "adult": a blank after every comma, "?" for holes, a dot after the test file's labels.
ADULT = """39, State-gov, 77516, Bachelors, 13, Never-married, ?, White, Male, 2174, 0, 40, United-States, <=50K
50, Self-emp-not-inc, 83311, Bachelors, 13, Married-civ-spouse, Exec-managerial, White, Male, 0, 0, 13, ?, <=50K
38, ?, 215646, HS-grad, 9, Divorced, Handlers-cleaners, White, Male, 0, 0, 40, United-States, >50K

"""
ADULT_TEST = "|1x3 Cross validator\n" + ADULT.replace("50K", "50K.")


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[pd.DataFrame, dict, np.ndarray]]:
    """Features, what the report says, and labels of one text; its label is y unless said."""

    def read_(text: str | bytes, name: str = "x.csv", csv: dict | None = None, **data: object):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        reference = {"uri": name, "csv": csv or {}}
        request = {"train": reference, "validation": reference, "label": "y", **data}
        train, _ = open_splits(Data.model_validate(request), Roots((tmp_path,)))
        batches = everything(train)
        frame = pd.concat([batch.features for batch in batches], ignore_index=True)
        return frame, train.describe(), np.concatenate([batch.labels for batch in batches])

    return read_


def problem_of(action: Callable[[], object]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value


class TestUci:
    def test_adult(self, tmp_path: Path) -> None:
        (tmp_path / "adult.data").write_text(ADULT)
        (tmp_path / "adult.test").write_text(ADULT_TEST)
        request = {"train": {"uri": "adult.data"}, "validation": {"uri": "adult.test"}, "label": -1}
        train, validation = open_splits(Data.model_validate(request), Roots((tmp_path,)))
        (first,), (second,) = everything(train), everything(validation)

        assert first.labels.tolist() == ["<=50K", "<=50K", ">50K"]
        assert second.labels.tolist() == ["<=50K.", "<=50K.", ">50K."]
        assert first.features["1"].tolist() == ["State-gov", "Self-emp-not-inc", "?"]
        assert first.features["0"].tolist() == second.features["0"].tolist() == [39, 50, 38]
        assert [c.kind for c in train.columns] == [
            "number", "string", "number", "string", "number", *["string"] * 4, *["number"] * 3, "string",
        ]  # fmt: skip
        assert train.describe()["header"] is False
        assert train.describe()["blanks"] == "removed around cells"
        assert validation.describe()["comment_lines"] == 1

    def test_columns_by_position_and_by_the_names_they_get(self, read) -> None:
        for label, features in ((13, [0, 4]), ("13", ["0", "4"]), (-1, ["re:^[04]$"])):
            frame, _, labels = read(ADULT, "adult.data", label=label, features=features)

            assert frame.columns.tolist() == ["0", "4"]
            assert labels.tolist()[-1] == ">50K"

    def test_runs_of_blanks_with_quoted_names(self, read) -> None:
        """auto-mpg.data: columns padded with blanks, a tab before a quoted name."""
        text = (
            '18.0   8   307.0      130.0      3504.      12.0   70  1\t"chevrolet chevelle malibu"\n'
            '25.0   4   98.00      ?          2046.      19.0   71  1\t"ford  pinto"\n'
        )
        frame, said, labels = read(text, "auto-mpg.data", label=0)

        assert said["delimiter"] == "whitespace"
        assert labels.tolist() == [18, 25]
        assert frame["8"].tolist() == ["chevrolet chevelle malibu", "ford  pinto"]
        assert np.isnan(frame["3"].tolist()[1])
        assert said["holes_spelled"] == {"3": ["?"]}

    def test_semicolons_and_quoted_names(self, read) -> None:
        """winequality.csv."""
        frame, said, labels = read('"fixed acidity";"pH";"quality"\n7.4;3.51;5\n7.8;3.2;6\n', label="quality")

        assert frame.columns.tolist() == ["fixed acidity", "pH"]
        assert labels.tolist() == [5, 6]
        assert said["decimal"] == "."

    @pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
    @pytest.mark.parametrize("header", [True, False])
    def test_what_scikit_learn_ships(self, read, name: str, header: bool) -> None:
        from sklearn import datasets  # noqa: PLC0415

        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        read_back, said, labels = read(frame.to_csv(index=False, header=header), label=-1)

        assert said["header"] is header
        np.testing.assert_array_equal(read_back.to_numpy(float), frame.to_numpy(float)[:, :-1])
        np.testing.assert_array_equal(labels, frame["target"])


class TestHeader:
    @pytest.mark.parametrize(
        ("text", "has_header"),
        [
            ("a,b,y\n1,2,0\n", True),
            ("1,2,0\n3,4,1\n", False),
            ("x,y,z\nred,blue,p\nred,green,q\n", True),
            ("red,blue,p\nred,green,q\nred,blue,p\n", False),
            ("0,1,2\n5,6,1\n7,8,0\n", True),
            (",0,1\n0,5,1\n1,7,0\n", True),
            ("2019,2020,target\n1,2,0\n", True),
            ("?,1,a\n3,4,b\n", False),
            ("5.1,3.5,setosa\n4.9,3.0,setosa\n", False),
            ("1,2,0\n", False),
        ],
    )
    def test_found_out(self, read, text: str, has_header: bool) -> None:
        _, said, _ = read(text, label=-1)

        assert said["header"] is has_header

    def test_a_name_of_the_request_makes_a_header(self, read) -> None:
        assert read("red,kind\nred,kind\nblue,sort\n", label="kind")[1]["header"] is True

    def test_said_by_the_request(self, read) -> None:
        frame, _, labels = read("a,b\nc,d\n", csv={"header": False}, label=1)

        assert frame["0"].tolist() == ["a", "c"]
        assert labels.tolist() == ["b", "d"]
        assert read("1,2\n3,4\n", csv={"header": True}, label="2")[0].columns.tolist() == ["1"]

    def test_a_position_that_is_not_there(self, read) -> None:
        problem = problem_of(lambda: read("a,b\n1,2\n", label=5))

        assert (problem.code, problem.field) == ("column_position_invalid", "data.label")

    def test_numpys_savetxt(self, read) -> None:
        frame, said, _ = read("# made by numpy\n# a b y\n1.0 2.0 0\n3.0 4.0 1\n", "x.txt")

        assert frame.to_dict("list") == {"a": [1.0, 3.0], "b": [2.0, 4.0]}
        assert said["comment_lines"] is not None or said["notes"]

    @pytest.mark.parametrize("before", ["", "# from a shop\n", "# a,b\n# c\n"])
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
    def test_a_column_that_is_called_as_comments_begin(self, read, before: str, delimiter: str) -> None:
        """Of rows that are numbered, as in Kaggle's Pokemon.csv."""
        text = "#,Name,Price,y\n1,Pen,2.5,0\n2,Ink,7,1\n".replace(",", delimiter)
        frame, said, labels = read(before + text)

        assert frame.to_dict("list") == {"#": [1, 2], "Name": ["Pen", "Ink"], "Price": [2.5, 7.0]}
        assert labels.tolist() == [0, 1]
        assert said["header"] is True
        assert "notes" not in said

    @pytest.mark.parametrize(("features", "name"), [(None, "rooms"), (["# rooms"], "# rooms"), (["rooms"], "rooms")])
    def test_a_name_that_begins_as_comments_do(self, read, features: list[str] | None, name: str) -> None:
        frame, _, labels = read("# rooms,y\n3,0\n4,1\n", features=features)

        assert frame.to_dict("list") == {name: [3, 4]}
        assert labels.tolist() == [0, 1]

    @pytest.mark.parametrize("delimiter", [" ", "\t"])
    def test_rs_row_names(self, read, delimiter: str) -> None:
        text = '"a" "y"\n"1" 5.5 "no"\n"2" 6.5 "yes"\n'.replace(" ", delimiter)
        frame, said, labels = read(text, "x.txt")

        assert frame.to_dict("list") == {"a": [5.5, 6.5]}
        assert labels.tolist() == ["no", "yes"]
        assert said["notes"] == ["the first column has no name and numbers the rows"]

    @pytest.mark.parametrize("text", ["a,y\n1,0,\n2,1,\n", "a,y,\n1,0,\n2,1,\n"])
    def test_trailing_delimiters(self, read, text: str) -> None:
        frame, _, labels = read(text)

        assert frame.to_dict("list") == {"a": [1, 2]}
        assert labels.tolist() == [0, 1]

    def test_trailing_delimiters_without_a_header(self, read) -> None:
        frame, said, labels = read("5,1,\n6,0,\n", label=-1)

        assert (frame["0"].tolist(), labels.tolist()) == ([5, 6], [1, 0])
        assert said["notes"] == ["every row ends in a delimiter"]


class TestComments:
    def test_before_and_among_rows(self, read) -> None:
        frame, said, _ = read("# from the lab\na,y\n1,0\n# 9,9\n2,1\n#end")

        assert frame["a"].tolist() == [1, 2]
        assert said["comment_lines"] == 3

    def test_a_mark_in_a_cell_is_none(self, read) -> None:
        assert read("a,y\n#1,0\n#2,1\n")[0]["a"].tolist() == ["#1", "#2"]

    def test_in_quotes_is_none(self, read) -> None:
        assert read('# c\na,y\n"x\n# no\n",0\nz,1\n')[0]["a"].tolist() == ["x\n# no\n", "z"]


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1"])
    def test_found_out_and_said(self, read, encoding: str) -> None:
        mark = "\ufeff" if encoding == "utf-16-le" else ""
        frame, said, _ = read((mark + "größe,y\nä,0\nö,1\n").encode(encoding))

        assert frame["größe"].tolist() == ["ä", "ö"]
        expected = {"utf-8-sig": "utf-8", "latin-1": "cp1252", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
        assert said["encoding"].startswith(expected.get(encoding, encoding))

    def test_euros_are_windows_1252_and_control_characters_are_latin_1(self, read) -> None:
        assert read("a,y\n5 €,0\n".encode("cp1252"))[0]["a"].tolist() == ["5 €"]
        assert read(b"a,y\nx\x81,0\n")[1]["encoding"].startswith("latin-1")

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf_16_without_a_mark(self, read, encoding: str) -> None:
        frame, said, _ = read("a,größe,y\n1,ä,0\n2,ö,1\n".encode(encoding))

        assert frame.to_dict("list") == {"a": [1, 2], "größe": ["ä", "ö"]}
        assert said["encoding"] == encoding

    def test_far_down(self, read, monkeypatch) -> None:
        monkeypatch.setattr(csv_file, "HEAD_BYTES", 50)
        monkeypatch.setattr(csv_file, "BLOCK_BYTES", 64)
        frame, said, _ = read(b"a,y\n" + b"x,0\n" * 100 + b"caf\xe9,1\n" + b"z,0\n" * 50)

        assert frame["a"].iloc[100] == "café"
        assert said["encoding"] == "cp1252, since it is not UTF-8 at byte 407"

    def test_said_by_the_request(self, read) -> None:
        frame, said, _ = read("a,y\nд,0\n".encode("koi8-r"), csv={"encoding": "koi8-r"})

        assert (frame["a"].tolist(), said["encoding"]) == (["д"], "koi8-r")

    def test_another_one_than_said(self, read) -> None:
        problem = problem_of(lambda: read("a,y\nä,0\n".encode("latin-1"), csv={"encoding": "utf-8"}))

        assert problem.code == "data_encoding"
        assert "at byte 4" in problem.detail


class TestNumbers:
    @pytest.mark.parametrize(
        ("text", "values", "format_"),
        [
            ('a,y\n"1,234",0\n"2,345,678.5",1\n', [1234, 2345678.5], {"decimal": ".", "thousands": ","}),
            ("a;y\n1.234,5;0\n2.345.678;1\n", [1234.5, 2345678], {"decimal": ",", "thousands": "."}),
            ("a;y\n1 234,5;0\n7;1\n", [1234.5, 7], {"decimal": ",", "thousands": " "}),
            ("a;y\n1\u202f234,5;0\n7;1\n", [1234.5, 7], {"decimal": ",", "thousands": " "}),
            ("a,y\n1'234.5,0\n7,1\n", [1234.5, 7], {"decimal": ".", "thousands": "'"}),
            ("a;b;y\n1.000;0,5;0\n999;1,5;1\n", [1000, 999], {"decimal": ",", "thousands": "."}),
            ("a;b;y\n1.250;0,5;0\n0.125;1,5;1\n", [1.25, 0.125], None),
            ("a;y\n1.000.000;0\n2.500;1\n", [1e6, 2500], {"decimal": ",", "thousands": "."}),
            ("a;y\n1.000;0\n2.500;1\n", [1, 2.5], None),
            ('a,y\n"1,5",0\n"22,75",1\n', [1.5, 22.75], None),
            ("a;y\n0,125;0\n0,250;1\n", [0.125, 0.25], None),
            ("a;y\n1,234;0\n2,345;1\n", [1.234, 2.345], {"decimal": ","}),
            ('a,y\n"1,234",0\n"2,345",1\n', [1234, 2345], {"decimal": ".", "thousands": ","}),
            ("a,y\n   1.5 ,0\n     ?,1\n", [1.5, None], None),
            ("a,y\n1e5,0\n-2.5E-3,1\n", [1e5, -2.5e-3], None),
        ],
    )
    def test_formats(self, read, text: str, values: list, format_: dict | None) -> None:
        frame, said, _ = read(text)

        np.testing.assert_array_equal(frame["a"].to_numpy(float), np.array(values, dtype=float))
        assert said.get("number_formats", {}).get("a") == format_

    def test_a_column_with_a_point_says_how_the_next_is_read(self, read) -> None:
        frame, _, _ = read("a\tb\ty\n1,234\t2.5\t0\n2,345\t3.5\t1\n")

        assert frame["a"].tolist() == [1234, 2345]

    def test_what_could_be_either_is_text(self, read) -> None:
        frame, _, _ = read("a\ty\n1,234\t0\n2,345\t1\n")
        assert frame["a"].tolist() == ["1,234", "2,345"]

        assert read("a\ty\n1,234\t0\n2,345\t1\n", csv={"decimal": ","})[0]["a"].tolist() == [1.234, 2.345]

    @pytest.mark.parametrize("value", ["50%", "$3", "€ 4", "1_000", "0x10", "1,23,456"])
    def test_signs_are_text(self, read, value: str) -> None:
        assert read(f'a,b,y\n"{value}",1,0\n"{value}",2,1\n')[0]["a"].tolist() == [value, value]

    @pytest.mark.parametrize("hole", ["-", "--", ".", "?", "NA", " ", "  ?  "])
    def test_holes(self, read, hole: str) -> None:
        frame, said, _ = read(f"a,b,y\n1,x,0\n{hole},z,1\n")

        assert np.isnan(frame["a"].tolist()[1])
        assert said["holes_spelled"].get("a", []) == ([hole.strip()] if hole.strip() else [])

    @pytest.mark.parametrize("hole", ["", "NaT", "NA"])
    def test_holes_in_a_column_of_days(self, read, hole: str) -> None:
        frame, _, _ = read(f"d,b,y\n2020-01-31,x,0\n{hole},z,1\n")

        assert frame["d"].isna().tolist() == [False, True]
        assert frame["d"].dtype.kind == "M"

    def test_another_format_far_down_names_the_row(self, read) -> None:
        problem = problem_of(lambda: read('a,y\n"1,234",0\n' + '"5,678",1\n' * 120_000 + "x,1\n"))

        assert (problem.code, problem.row, problem.column) == ("text_in_numeric_column", 120_001, "a")

    def test_mixed_types_name_the_row(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,y\n1,0\n2,1\n")
        (tmp_path / "v.csv").write_text("a,y\n1,0\ntwo,1\n")
        data = {"train": {"uri": "t.csv"}, "validation": {"uri": "v.csv"}, "label": "y"}
        problem = problem_of(lambda: open_splits(Data.model_validate(data), Roots((tmp_path,))))

        assert (problem.code, problem.row, problem.column) == ("text_in_numeric_column", 1, "a")
        assert problem.file == str(tmp_path / "v.csv")


class TestRows:
    def test_lines_of_blanks_are_none(self, read) -> None:
        assert read("a,y\n1,0\n   \n2,1\n \t\n\x1a")[0]["a"].tolist() == [1, 2]

    def test_old_line_ends(self, read) -> None:
        assert read("a,y\r1,0\r2,1\r")[0]["a"].tolist() == [1, 2]

    def test_blanks_around_cells_are_kept_unless_they_are_everywhere(self, read) -> None:
        assert read("a,b,y\n x,1,0\nz,2,1\n")[0]["a"].tolist() == [" x", "z"]
        assert read("a,b,y\nx, u,0\nz, v,1\n")[0]["b"].tolist() == [" u", " v"]
        assert read('a, b, y\nx, "u, w", 0\nz, v, 1\n')[0]["b"].tolist() == ["u, w", "v"]
        assert read("a,b,y\n x ,1,0\nz,2,1\n", csv={"trim": True})[0]["a"].tolist() == ["x", "z"]
        assert read("a, b, y\nx, u, 0\n", csv={"trim": False}, label=2)[0].iloc[0, 1] == " u"

    @pytest.mark.parametrize("cut", [1, 3, 4])
    def test_a_file_cut_off_in_a_row(self, read, cut: int) -> None:
        problem = problem_of(lambda: read("a,b,y\n1,2,0\n" + "3,4,1\n"[:cut]))

        assert (problem.code, problem.row) in {("data_malformed", 1), ("label_missing_values", 1)}

    def test_a_row_that_never_ends(self, read, monkeypatch) -> None:
        monkeypatch.setattr(csv_file, "HEAD_BYTES", 1000)
        monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1000)
        monkeypatch.setattr(csv_text, "BLOCK_BYTES", 1000)
        for text in ("a,y\n1,0\n" + "x" * 9000 + ",1\n", '# c\na,y\n1,0\n"' + "x\n" * 9000):
            assert problem_of(lambda t=text: read(t)).code == "data_cell_too_large"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
            st.integers(-(2**40), 2**40),
            st.text(st.characters(codec="cp1252", exclude_categories=["Cc", "Cs"]), max_size=6),
        ),
        min_size=2,
        max_size=12,
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    header=st.booleans(),
    block=st.sampled_from([37, 64, 4096]),
)
def test_whatever_dialect_pandas_writes_comes_back(  # noqa: PLR0917  # hypothesis names them
    rows, delimiter, encoding, line_end, header, block, tmp_path: Path, monkeypatch
) -> None:
    """Or it is refused; never are other values read."""
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", block)
    # the letter keeps texts from being numbers, and the rows from being taken for names
    written = pd.DataFrame(
        {"n": [r[0] for r in rows], "i": [r[1] for r in rows], "s": ["w" + r[2] for r in rows], "y": 1}
    )
    written["n"] = written["n"].astype(float)
    decimal = "," if delimiter != "," else "."
    text = written.to_csv(sep=delimiter, decimal=decimal, index=False, header=header, lineterminator=line_end)
    raw = text.encode(encoding)
    (tmp_path / "x.csv").write_bytes(raw)
    reference = {"uri": "x.csv", "csv": {"decimal": decimal, "delimiter": delimiter}}
    data = Data.model_validate({"train": reference, "validation": reference, "label": -1})
    try:
        batches = everything(open_splits(data, Roots((tmp_path,)))[0])
    except ProblemError:
        # one of its texts happens to be UTF-8, another is not
        if encoding != "cp1252":
            raise
        return
    read = pd.concat([b.features for b in batches], ignore_index=True)
    if header:
        assert read.columns.tolist() == ["n", "i", "s"]
    np.testing.assert_array_equal(read.iloc[:, 0].to_numpy(dtype=float), written["n"].to_numpy())
    assert read.iloc[:, 1].tolist() == written["i"].tolist()
    # bytes that happen to be UTF-8 cannot be told from it
    if encoding != "cp1252" or text.isascii():
        assert read.iloc[:, 2].tolist() == written["s"].tolist()


def test_splits_are_told_apart_by_position(tmp_path: Path) -> None:
    """The position counts in the training file; the validation column is found by the name there."""
    (tmp_path / "t.csv").write_text("a,y\n1,0\n2,1\n")
    (tmp_path / "v.csv").write_text("y,a\n0,7\n1,8\n")
    data = {"train": {"uri": "t.csv"}, "validation": {"uri": "v.csv"}, "label": -1}
    splits: tuple[Split, Split] = open_splits(Data.model_validate(data), Roots((tmp_path,)))

    assert everything(splits[1])[0].labels.tolist() == [0, 1]


class TestFilesOfSpreadsheets:
    @pytest.mark.parametrize(("mark", "delimiter"), [("sep=;", ";"), ('"sep=|"', "|"), ("SEP=\t", "\t")])
    def test_a_first_line_that_names_the_delimiter(self, tmp_path: Path, opened, mark: str, delimiter: str):
        lines = [mark, *(delimiter.join(row) for row in (["a, b", "y"], ["1", "0"], ["2", "1"]))]
        (tmp_path / "x.csv").write_text("\r\n".join(lines))
        train, _ = opened("x.csv", "x.csv", label="y")

        assert everything(train)[0].features["a, b"].tolist() == [1, 2]
        assert train.describe()["delimiter"] == delimiter

    def test_a_title_above_the_names(self, tmp_path: Path, opened):
        (tmp_path / "x.csv").write_text("Sales report 2020,,\nby region,,\na,b,y\n1,2,0\n3,4,1\n")
        train, _ = opened("x.csv", "x.csv", label="y")

        assert everything(train)[0].features.to_numpy().tolist() == [[1, 2], [3, 4]]
        assert train.describe()["notes"] == ["2 rows before the names of the columns are passed over"]

    def test_a_value_that_is_called_like_the_label_is_no_header(self, tmp_path: Path, opened):
        (tmp_path / "x.csv").write_text("a,b\n1,n\n2,y\n3,n\n")

        assert problem_of(lambda: opened("x.csv", "x.csv", label="y")).code == "label_missing"


def test_a_first_row_beyond_the_head_is_no_empty_file(tmp_path: Path, opened):
    (tmp_path / "x.csv").write_text("a,y\n" + "x" * (2 * 2**20) + ",0\n")

    assert problem_of(lambda: opened("x.csv", "x.csv", label="y")).code == "data_cell_too_large"


def test_a_quote_that_swallows_the_delimiters_is_named(tmp_path: Path, opened):
    (tmp_path / "x.csv").write_text('a,y\n3,0\n"1,0\n2,1\n')
    problem = problem_of(lambda: everything(opened("x.csv", "x.csv", label="y")[0]))

    assert (problem.code, problem.row) == ("data_malformed", 1)
    assert "quote" in problem.detail


def test_names_that_stand_a_second_time_are_named(tmp_path: Path, opened):
    (tmp_path / "x.csv").write_text("a,y\n" + "1,0\n" * 300_000 + "a,y\n2,1\n")
    problem = problem_of(lambda: everything(opened("x.csv", "x.csv", label="y")[0]))

    assert (problem.code, problem.row) == ("text_in_numeric_column", 300_000)
    assert "a second time" in problem.detail
