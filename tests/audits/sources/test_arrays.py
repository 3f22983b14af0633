"""Arrays: NPZ archives and folders of NPY files, streamed and never unpickled."""

import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from numpy.lib import format as npy_format

from audits.artefacts import Split
from audits.sources import open_splits
from audits.sources.arrays import numpy_files
from audits.sources.locations import Roots
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything

Open = Callable[..., tuple[Split, Split]]
X = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
Y = np.array([0, 1, 2, 1, 0])


def problem_of(action: Callable[[], object]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., None]:
    def save_(name: str = "a.npz", **arrays: object) -> None:
        np.savez(tmp_path / name, **({"x": X, "y": Y} | arrays))

    return save_


def member(array: np.ndarray, *, header: dict | None = None) -> bytes:
    """An NPY file, with whatever header."""
    file = BytesIO()
    described = npy_format.header_data_from_array_1_0(array)
    npy_format.write_array_header_1_0(file, described | (header or {}))
    return file.getvalue() + array.tobytes()


def archive(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)


class TestTexts:
    """x of texts is a table, so that everything that knows columns of texts knows them."""

    @pytest.mark.parametrize(
        ("x", "columns"),
        [
            (np.array(["a", "b", "ö", "", "a"]), ["x"]),
            (np.array([b"a", b"b", "ö".encode(), b"", b"a"]), ["x"]),
            (np.array([["a", "1"], ["b", "2"], ["ö", "3"], ["", "4"], ["a", "5"]]), ["x[0]", "x[1]"]),
        ],
    )
    def test_become_columns(self, save, opened: Open, x: np.ndarray, columns: list[str]) -> None:
        save(x=x)
        train, _ = opened("a.npz", "a.npz")

        (batch,) = train.batches()
        assert (train.layout, train.row_shape) == ("table", (len(columns),))
        assert [(column.name, column.kind) for column in train.columns] == [(name, "string") for name in columns]
        assert list(batch.features.columns) == columns
        assert batch.features[columns[0]].tolist() == ["a", "b", "ö", "", "a"]

    def test_in_one_split_alone_are_refused(self, save, opened: Open) -> None:
        save("texts.npz", x=np.array([["a"]] * 5))
        save("numbers.npz", x=np.ones((5, 1)))

        problem = problem_of(lambda: opened("texts.npz", "numbers.npz"))

        assert (problem.code, problem.problem.field) == ("column_types_differ", "data.validation.uri")


class TestNpz:
    def test_x_and_y(self, save, opened: Open) -> None:
        save()
        train, validation = opened("a.npz", "a.npz")

        assert (train.layout, train.row_shape, train.columns) == ("array", (3, 4), ())
        assert (train.name, validation.name) == ("train", "validation")
        batches = everything(train, 2)
        np.testing.assert_array_equal(np.concatenate([b.features for b in batches]), X)
        assert np.concatenate([b.labels for b in batches]).tolist() == Y.tolist()
        assert train.describe()["x"] == {"name": "x", "row_shape": [3, 4], "dtype": "float32"}

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        x=np_st.arrays(
            st.sampled_from(["<f4", ">f8", "f2", "u1", ">i4", "i8", "?"]),
            np_st.array_shapes(min_dims=1, max_dims=4, max_side=6),
        ),
        compressed=st.booleans(),
        fortran=st.booleans(),
        rows=st.integers(1, 7),
    )
    def test_what_is_saved_comes_back(self, x, compressed: bool, fortran: bool, rows: int, tmp_path: Path) -> None:
        saved = np.asfortranarray(x) if fortran else x
        (np.savez_compressed if compressed else np.savez)(tmp_path / "h.npz", x=saved, y=np.arange(len(x)))
        data = Data.model_validate({"train": {"uri": "h.npz"}, "validation": {"uri": "h.npz"}})
        batches = everything(open_splits(data, Roots((tmp_path,)))[0], rows)
        read = np.concatenate([b.features for b in batches])

        np.testing.assert_array_equal(read, x)
        assert read.dtype.isnative
        assert np.concatenate([b.labels for b in batches]).tolist() == list(range(len(x)))

    def test_batches_may_be_written_to(self, save, opened: Open) -> None:
        save()
        (batch,) = everything(opened("a.npz", "a.npz")[0])
        batch.features[0] = 7

        assert (batch.features[0] == 7).all()

    @pytest.mark.parametrize(
        ("y", "read"),
        [
            (np.array([0.0, 1, 2, 1, 0]), [0, 1, 2, 1, 0]),
            (Y[:, None], [0, 1, 2, 1, 0]),
            (np.array([True, False, True, True, False]), [1, 0, 1, 1, 0]),
            (np.array(["a", "b", "a", "b", "c"]), ["a", "b", "a", "b", "c"]),
            (np.array([b"a", b"b", b"a", b"b", b"c"]), ["a", "b", "a", "b", "c"]),
            (np.array([0.5, 1, 2, 1, 0]), [0.5, 1, 2, 1, 0]),
            (np.eye(5)[:, :3], np.eye(5, 3).tolist()),
        ],
    )
    def test_labels(self, save, opened: Open, y: np.ndarray, read: list) -> None:
        save(y=y)
        (batch,) = everything(opened("a.npz", "a.npz")[0])

        assert batch.labels.tolist() == read
        assert batch.labels.dtype.kind == {int: "i", str: "O", float: "f", list: "i"}[type(read[0])]

    def test_a_label_and_roles_may_be_named(self, save, opened: Open) -> None:
        save(y=np.full(5, 9), target=Y, patient=np.array(["p", "p", "q", "q", "r"]))
        train, _ = opened("a.npz", "a.npz", label="target", group="patient")
        batches = everything(train, 3)

        assert np.concatenate([b.labels for b in batches]).tolist() == Y.tolist()
        assert batches[1].roles["group"].tolist() == ["q", "r"]

    def test_several_files_and_max_rows(self, save, opened: Open) -> None:
        save("p1.npz")
        save("p2.npz", x=X + 100)
        train, _ = opened("p*.npz", "p1.npz", options={"max_rows": 7})
        batches = everything(train, 4)

        assert [len(batch) for batch in batches] == [4, 1, 2]
        assert batches[2].features[0, 0, 0] == 100

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_rows_without_a_label(self, save, opened: Open, bad: float) -> None:
        save(y=np.array([0, 1, 1, bad, 0]))
        problem = problem_of(lambda: everything(opened("a.npz", "a.npz")[0], 2))

        assert (problem.code, problem.row, problem.field) == ("label_missing_values", 3, "data.label")

    @pytest.mark.parametrize(
        ("arrays", "code"),
        [
            ({"x": X[:4]}, "data_rows_differ"),
            ({"y": np.int64(3)}, "data_rows_differ"),
            ({"y": np.zeros((5, 2, 2))}, "label_shape_unsupported"),
            ({"x": X[:0], "y": Y[:0]}, "data_empty"),
            ({"x": X.astype(complex)}, "data_malformed"),
            ({"y": Y.astype("datetime64[D]")}, "data_malformed"),
        ],
    )
    def test_arrays_that_do_not_fit(self, save, opened: Open, arrays: dict, code: str) -> None:
        save(**arrays)

        assert problem_of(lambda: opened("a.npz", "a.npz")).code == code

    def test_what_nobody_asks_for_may_be_of_any_type(self, save, opened: Open) -> None:
        names = np.array(["a", "b"], dtype=object)
        save(names=names, date=np.datetime64("2020-01-01"), notes=np.zeros(3, dtype=[("a", "f4")]), meta={"a": 1})
        train, _ = opened("a.npz", "a.npz")

        assert everything(train)[0].labels.tolist() == Y.tolist()
        assert train.describe()["unread_arrays"] == ["date", "meta", "names", "notes"]
        assert problem_of(lambda: opened("a.npz", "a.npz", group="names")).code == "data_pickle_forbidden"
        assert problem_of(lambda: opened("a.npz", "a.npz", label="date")).code == "data_malformed"

    def test_labels_of_objects_are_refused_by_any_name(self, tmp_path: Path, opened: Open) -> None:
        np.savez(tmp_path / "a.npz", x=X, labels=Y.astype(object))

        assert problem_of(lambda: opened("a.npz", "a.npz")).code == "data_pickle_forbidden"

    def test_arrays_of_other_names_that_do_not_fit(self, tmp_path: Path, opened: Open) -> None:
        np.savez(tmp_path / "a.npz", x_train=X, y_train=Y[:4], x_test=X, y_test=Y)
        problem = problem_of(lambda: opened("a.npz", "a.npz"))

        assert (problem.code, problem.column) == ("data_rows_differ", "y_train")
        assert "x_train of the shape [5, 3, 4] and y_train of the shape [4]" in problem.detail

    @pytest.mark.parametrize(("name", "code"), [("x", "feature_missing"), ("y", "label_missing")])
    def test_missing_arrays_say_what_there_is(self, tmp_path: Path, opened: Open, name: str, code: str) -> None:
        arrays = {"rows": X, "answers": Y, "x": X, "y": Y}
        del arrays[name]
        np.savez(tmp_path / "a.npz", **arrays)
        problem = problem_of(lambda: opened("a.npz", "a.npz"))

        assert (problem.code, problem.column) == (code, name)
        assert "'rows', 'answers'" in problem.detail

    def test_rows_of_another_shape(self, save, opened: Open) -> None:
        save()
        save("b.npz", x=X[:, :, :2])

        for train, validation in (("a.npz", "b.npz"), (["a.npz", "b.npz"], "a.npz")):
            assert problem_of(lambda t=train, v=validation: opened(t, v)).code == "feature_shape_mismatch"

    def test_arrays_and_tables_are_not_mixed(self, save, tmp_path: Path, opened: Open) -> None:
        save()
        (tmp_path / "v.csv").write_text("a,y\n1,0\n")

        assert problem_of(lambda: opened("a.npz", "v.csv", label="y")).code == "data_formats_mixed"

    def test_features_are_names_of_columns(self, save, opened: Open) -> None:
        save()

        assert problem_of(lambda: opened("a.npz", "a.npz", features=["x"])).code == "features_not_applicable"


class TestHostileFiles:
    def test_objects_are_never_unpickled(self, tmp_path: Path, opened: Open) -> None:
        class Bomb:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "exploded",))

        with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
            file.writestr("x.npy", member(X))
            header = member(np.empty(0), header={"descr": "|O", "shape": (1,)})
            file.writestr("y.npy", header + pickle.dumps([Bomb()]))
        problem = problem_of(lambda: opened("a.npz", "a.npz"))

        assert problem.code == "data_pickle_forbidden"
        assert not (tmp_path / "exploded").exists()

    @pytest.mark.parametrize("shape", [(10**6, 3, 4), (4, 3, 4), (-5, 3, 4), (2**62, 2**62)])
    def test_headers_that_lie(self, tmp_path: Path, opened: Open, shape: tuple[int, ...]) -> None:
        archive(tmp_path / "a.npz", [("x.npy", member(X, header={"shape": shape})), ("y.npy", member(Y))])

        assert problem_of(lambda: opened("a.npz", "a.npz")).code == "data_malformed"

    @pytest.mark.parametrize("name", ["../x.npy", "/x.npy", "d\\x.npy", "x.txt", "x"])
    def test_names_that_are_no_arrays(self, tmp_path: Path, opened: Open, name: str) -> None:
        archive(tmp_path / "a.npz", [(name, member(X)), ("y.npy", member(Y))])

        assert problem_of(lambda: opened("a.npz", "a.npz")).code == "data_malformed"

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_arrays_of_one_name(self, tmp_path: Path, opened: Open) -> None:
        archive(tmp_path / "a.npz", [("x.npy", member(X)), ("x.npy", member(X)), ("y.npy", member(Y))])

        assert problem_of(lambda: opened("a.npz", "a.npz")).code == "data_malformed"

    def test_bombs_are_not_unpacked(self, tmp_path: Path, opened: Open, monkeypatch) -> None:
        monkeypatch.setattr(numpy_files, "RATIO_MATTERS_FROM_BYTES", 2**20)
        monkeypatch.setattr(numpy_files, "MAX_RATIO", 100)
        zeros = np.zeros((2**19, 4), np.float32)
        archive(tmp_path / "a.npz", [("x.npy", member(zeros)), ("y.npy", member(Y))], zipfile.ZIP_DEFLATED)

        assert problem_of(lambda: opened("a.npz", "a.npz")).code == "data_compression_ratio"

    def test_large_arrays_in_fortran_order_cannot_be_streamed(self, save, opened: Open, monkeypatch) -> None:
        monkeypatch.setattr(numpy_files, "MAX_UNSTREAMED_BYTES", 100)
        save(x=np.asfortranarray(X))
        problem = problem_of(lambda: everything(opened("a.npz", "a.npz")[0]))

        assert problem.code == "data_too_large"
        assert "ascontiguousarray" in problem.detail

    def test_damage_is_noticed(self, save, tmp_path: Path, opened: Open) -> None:
        save(x=np.zeros((5, 1000)))
        whole = bytearray((tmp_path / "a.npz").read_bytes())
        whole[5_000] ^= 0xFF
        (tmp_path / "a.npz").write_bytes(whole)
        assert problem_of(lambda: everything(opened("a.npz", "a.npz")[0])).code == "data_malformed"

        (tmp_path / "a.npz").write_bytes(whole[:1000])
        assert problem_of(lambda: opened("a.npz", "a.npz")).code == "data_malformed"

    def test_unknown_compression(self, save, tmp_path: Path, opened: Open) -> None:
        archive(tmp_path / "a.npz", [("x.npy", member(X)), ("y.npy", member(Y))])
        whole = (tmp_path / "a.npz").read_bytes()
        (tmp_path / "a.npz").write_bytes(
            whole.replace(b"PK\x01\x02\x14\x03\x14\0\0\0\0\0", b"PK\x01\x02\x14\x03\x14\0\0\0\x63\0")
        )

        assert problem_of(lambda: everything(opened("a.npz", "a.npz")[0])).code == "data_malformed"

    def test_too_many_members(self, tmp_path: Path, opened: Open, monkeypatch) -> None:
        monkeypatch.setattr(numpy_files, "MAX_MEMBERS", 1)
        archive(tmp_path / "a.npz", [("x.npy", member(X)), ("y.npy", member(Y))])

        assert problem_of(lambda: opened("a.npz", "a.npz")).code == "data_malformed"


class TestNpyFolder:
    def test_a_folder_of_arrays(self, tmp_path: Path, opened: Open) -> None:
        for name, order in (("train", "C"), ("val", "F")):
            (tmp_path / name).mkdir()
            np.save(tmp_path / name / "x.npy", np.array(X, order=order))
            np.save(tmp_path / name / "y.npy", Y)
        train, validation = opened("train", "val")

        for split in (train, validation):
            batches = everything(split, 2)
            np.testing.assert_array_equal(np.concatenate([b.features for b in batches]), X)
            assert np.concatenate([b.labels for b in batches]).tolist() == Y.tolist()
        assert train.files == (str(tmp_path / "train"),)

    def test_a_file_that_vanishes(self, tmp_path: Path, opened: Open) -> None:
        np.save(tmp_path / "x.npy", X)
        np.save(tmp_path / "y.npy", Y)
        train, _ = opened(["x.npy", "y.npy"], ["x.npy", "y.npy"])
        (tmp_path / "x.npy").unlink()
        problem = problem_of(lambda: everything(train))

        assert (problem.code, problem.field) == ("data_malformed", "data.train.uri")
        assert "array 'x': " in problem.detail
        assert "No such file" in problem.detail

    def test_a_file_that_was_cut_off(self, tmp_path: Path, opened: Open) -> None:
        np.save(tmp_path / "x.npy", X)
        np.save(tmp_path / "y.npy", Y)
        (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
        problem = problem_of(lambda: opened("x.npy", "x.npy"))

        assert (problem.code, problem.file) == ("data_malformed", str(tmp_path / "x.npy"))
