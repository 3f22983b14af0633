"""What columns are for: by name, position and pattern; labels in several columns and in files of their own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Split
from audits.sources import Roots, by_name, open_splits
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything

Open = Callable[..., tuple[Split, Split]]
ROWS = "key,s_1,s_2,t,y\n1,10,20,5,0\n2,11,21,6,1\n3,12,22,7,0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "x.csv").write_text(ROWS)
    return tmp_path


def problem_of(action: Callable[[], object]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value


class TestColumns:
    @pytest.mark.parametrize(
        ("data", "columns"),
        [
            ({}, ["key", "s_1", "s_2", "t"]),
            ({"features": ["re:^s_", "key"]}, ["s_1", "s_2", "key"]),
            ({"features": ["t", 1]}, ["t", "s_1"]),
            ({"features": ["re:^[kst]", "key"], "exclude": ["s_2"]}, ["key", "s_1", "t"]),
            ({"exclude": ["re:^s_", 0]}, ["t"]),
            ({"exclude": ["t"], "id": 0}, ["s_1", "s_2"]),
            ({"features": ["re:."], "group": -2}, ["key", "s_1", "s_2"]),
        ],
    )
    def test_chosen(self, folder: Path, opened: Open, data: dict, columns: list[str]) -> None:
        train, _ = opened("x.csv", "x.csv", label="y", **data)

        assert [column.name for column in train.columns] == columns
        assert everything(train)[0].features.columns.tolist() == columns

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            ({"features": ["re:^q"]}, "pattern_matches_nothing"),
            ({"features": ["re:(?=s)"]}, "pattern_invalid"),
            ({"features": [9]}, "column_position_invalid"),
            ({"id": 4}, "column_role_conflict"),
            ({"features": ["t", 3]}, "feature_repeated"),
            ({"features": [-1]}, "column_role_conflict"),
        ],
    )
    def test_that_mean_nothing(self, folder: Path, opened: Open, data: dict, code: str) -> None:
        assert problem_of(lambda: opened("x.csv", "x.csv", label="y", **data)).code == code

    def test_patterns_take_linear_time(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "x.csv").write_text("a" * 4000 + "!,y\n1,0\n2,1\n")
        with pytest.raises(ProblemError, match="no column matches"):
            opened("x.csv", "x.csv", label="y", features=["re:^(a+)+$"])

    def test_roles_say_the_names(self, folder: Path, opened: Open) -> None:
        train, _ = opened("x.csv", "x.csv", label=-1, id=0)

        assert train.describe()["roles"] == {"id": "key"}
        data = Data.model_validate({"train": {"uri": "x.csv"}, "validation": {"uri": "x.csv"}, "label": -1, "id": 0})
        assert (by_name(data, train).label, by_name(data, train).id) == ("y", "key")
        assert train.describe()["label"]["name"] == "y"


class TestOneHot:
    def test_columns(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "x.csv").write_text("a,cat,dog\n1,1,0\n2,0,1\n")
        train, _ = opened("x.csv", "x.csv", label=["dog", "cat"])
        (batch,) = everything(train)

        assert batch.labels.tolist() == [[0, 1], [1, 0]]
        assert batch.features.columns.tolist() == ["a"]
        assert train.describe()["label"] == {"name": ["dog", "cat"], "kind": "one-hot"}

    @pytest.mark.parametrize("row", ["2,1,1", "2,0,0", "2,0.5,0.5", "2,-1,2"])
    def test_rows_that_are_not(self, tmp_path: Path, opened: Open, row: str) -> None:
        (tmp_path / "x.csv").write_text(f"a,cat,dog\n1,1,0\n{row}\n")
        problem = problem_of(lambda: everything(opened("x.csv", "x.csv", label=["dog", "cat"])[0]))

        assert (problem.code, problem.row) == ("label_not_one_hot", 1)


class TestLabelFiles:
    def splits(self, folder: Path, label_uri: str, **data: object) -> tuple[Split, Split]:
        reference = {"uri": "x.csv", "label_uri": label_uri}
        request = {"train": reference, "validation": reference, **data}
        return open_splits(Data.model_validate(request), Roots((folder,)))

    def test_npy(self, folder: Path) -> None:
        np.save(folder / "l.npy", np.array([5, 6, 7]))
        train, _ = self.splits(folder, "l.npy", exclude=["y"])
        (batch,) = everything(train)

        assert batch.labels.tolist() == [5, 6, 7]
        assert batch.features.columns.tolist() == ["key", "s_1", "s_2", "t"]
        assert train.describe()["label"]["joined"] == "row by row"

    def test_npy_of_objects(self, folder: Path) -> None:
        np.save(folder / "l.npy", np.array(["a", None, "b"], dtype=object))

        assert problem_of(lambda: self.splits(folder, "l.npy")).code == "data_pickle_forbidden"

    def test_batches_take_their_own(self, folder: Path) -> None:
        np.save(folder / "l.npy", np.array([5, 6, 7]))
        train, _ = self.splits(folder, "l.npy")

        assert [batch.labels.tolist() for batch in everything(train, 2)] == [[5, 6], [7]]

    def test_by_id(self, folder: Path) -> None:
        (folder / "l.csv").write_text("key,class\n3,c\n1,a\n2,b\n9,z\n")
        train, _ = self.splits(folder, "l.csv", id="key")

        assert everything(train, 2)[0].labels.tolist() == ["a", "b"]
        assert train.describe()["label"] == {"name": "class", "file": str(folder / "l.csv"), "joined": "by id"}

    def test_the_label_by_its_name(self, folder: Path) -> None:
        (folder / "l.csv").write_text("key,other,class\n3,0,c\n1,0,a\n2,0,b\n")

        assert everything(self.splits(folder, "l.csv", id="key", label="class")[0])[0].labels.tolist() == [
            "a",
            "b",
            "c",
        ]
        assert problem_of(lambda: self.splits(folder, "l.csv", id="key")).code == "label_missing"

    def test_a_column_without_a_header(self, folder: Path) -> None:
        (folder / "l.txt").write_text("a\nb\na\n")

        assert everything(self.splits(folder, "l.txt")[0])[0].labels.tolist() == ["a", "b", "a"]

    @pytest.mark.parametrize("labels", [[1, 0], [1, 0, 1, 0]])
    def test_another_number_of_rows(self, folder: Path, labels: list[int]) -> None:
        np.save(folder / "l.npy", np.array(labels))
        problem = problem_of(lambda: everything(self.splits(folder, "l.npy")[0]))

        assert (problem.code, problem.field) == ("data_rows_differ", "data.train.label_uri")

    def test_ids_without_a_label_and_with_two(self, folder: Path) -> None:
        (folder / "l.csv").write_text("key,class\n3,c\n1,a\n")
        problem = problem_of(lambda: everything(self.splits(folder, "l.csv", id="key")[0]))
        assert (problem.code, problem.row) == ("label_missing_values", 1)
        assert "the id '2' of row 1" in problem.detail

        (folder / "l.csv").write_text("key,class\n3,c\n1,a\n2,b\n1,b\n")
        assert problem_of(lambda: self.splits(folder, "l.csv", id="key")).code == "id_repeated"

    @pytest.mark.parametrize("ids", ["7,8,9", "7.0,8.0,9.0"])
    def test_whole_numbers_are_joined_however_they_are_written(self, tmp_path: Path, ids: str) -> None:
        """An id that is missing makes floats of its neighbours, in one file or in one batch."""
        (tmp_path / "x.csv").write_text("key,a\n7,1\n8,2\n9,3\n,4\n")
        written = "".join(f"{key},{label}\n" for key, label in zip(ids.split(","), "pqr", strict=True))
        (tmp_path / "l.csv").write_text("key,class\n" + written)
        train, _ = self.splits(tmp_path, "l.csv", id="key")
        batches = train.batches(2)

        assert next(batches).labels.tolist() == ["p", "q"]
        problem = problem_of(lambda: next(batches))
        assert (problem.code, problem.row) == ("label_missing_values", 3)
        assert "row 3, which has no id" in problem.detail

    def test_rows_without_an_id_share_no_label(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").write_text("key,a\nu,1\n,2\n")
        (tmp_path / "l.csv").write_text("key,class\nu,p\n,q\n")
        problem = problem_of(lambda: everything(self.splits(tmp_path, "l.csv", id="key")[0]))

        assert (problem.code, problem.row) == ("label_missing_values", 1)

    def test_a_hole_names_the_row(self, folder: Path) -> None:
        np.save(folder / "l.npy", np.array([1.0, np.nan, 0.0]))
        problem = problem_of(lambda: everything(self.splits(folder, "l.npy")[0]))

        assert (problem.code, problem.row) == ("label_missing_values", 1)

    def test_beside_arrays(self, tmp_path: Path) -> None:
        np.save(tmp_path / "images.npy", np.zeros((3, 2, 2)))
        np.save(tmp_path / "l.npy", np.array([[1, 0], [0, 1], [1, 0]]))
        reference = {"uri": "images.npy", "label_uri": "l.npy"}
        data = Data.model_validate({"train": reference, "validation": reference})
        train, _ = open_splits(data, Roots((tmp_path,)))
        (batch,) = everything(train)

        assert (batch.features.shape, batch.labels.tolist()) == ((3, 2, 2), [[1, 0], [0, 1], [1, 0]])


class TestArrayNames:
    def test_one_archive_of_both_splits(self, tmp_path: Path, opened: Open) -> None:
        """As keras.datasets keep them."""
        np.savez(
            tmp_path / "mnist.npz",
            x_train=np.zeros((4, 2)),
            y_train=[0, 1, 0, 1],
            x_test=np.ones((2, 2)),
            y_test=[1, 0],
        )
        train, validation = opened("mnist.npz", "mnist.npz")

        assert [len(everything(split)[0]) for split in (train, validation)] == [4, 2]
        assert everything(validation)[0].labels.tolist() == [1, 0]
        assert validation.describe()["x"]["name"] == "x_test"

    @pytest.mark.parametrize(("x", "y"), [("X", "Y"), ("features", "labels"), ("trainX", "trainY"), ("data", "target")])
    def test_what_people_call_them(self, tmp_path: Path, opened: Open, x: str, y: str) -> None:
        np.savez(tmp_path / "t.npz", **{x: np.zeros((2, 2)), y: [0, 1]})
        np.savez(tmp_path / "v.npz", x=np.zeros((2, 2)), y=[0, 1])

        assert everything(opened("t.npz", "v.npz")[0])[0].labels.tolist() == [0, 1]

    def test_several_that_could_be_meant(self, tmp_path: Path, opened: Open) -> None:
        np.savez(tmp_path / "t.npz", images=np.zeros((2, 2)), inputs=np.zeros((2, 2)), y=[0, 1])

        assert problem_of(lambda: opened("t.npz", "t.npz")).code == "feature_missing"

    def test_a_pair_of_files(self, tmp_path: Path, opened: Open) -> None:
        np.save(tmp_path / "X_train.npy", np.zeros((2, 2)))
        np.save(tmp_path / "y_train.npy", [0, 1])
        np.save(tmp_path / "X_val.npy", np.zeros((2, 2)))
        np.save(tmp_path / "y_val.npy", [1, 1])
        train, _ = opened(["X_train.npy", "y_train.npy"], ["X_val.npy", "y_val.npy"])

        assert everything(train)[0].labels.tolist() == [0, 1]


class TestPartitions:
    def test_folders_are_columns(self, tmp_path: Path, opened: Open) -> None:
        frame = pd.DataFrame({"a": [1, 2], "y": [0, 1]})
        for year, place in ((2023, "north"), (2024, "s%C3%BCd")):
            folder = tmp_path / "d" / f"year={year}" / f"place={place}"
            folder.mkdir(parents=True)
            frame.to_parquet(folder / "part-0.parquet")
        for address in ("d", "d/**/*.parquet", "d/year=*"):
            train, _ = opened(address, "d", label="y")
            rows = pd.concat([b.features for b in everything(train)])

            assert rows["year"].tolist() == [2023, 2023, 2024, 2024]
            assert rows["place"].tolist() == ["north", "north", "süd", "süd"]
            assert train.describe()["partitions"] == ["year", "place"]

    def test_only_below_what_was_named(self, tmp_path: Path, opened: Open) -> None:
        folder = tmp_path / "run=5"
        folder.mkdir()
        (folder / "x.csv").write_text("a,y\n1,0\n")
        for address in ("run=5", "run=5/x.csv", "run=5/*.csv"):
            assert [c.name for c in opened(address, address, label="y")[0].columns] == ["a"]

    def test_a_partition_may_be_the_label(self, tmp_path: Path, opened: Open) -> None:
        for label in ("cat", "dog"):
            (tmp_path / "d" / f"y={label}").mkdir(parents=True)
            (tmp_path / "d" / f"y={label}" / "x.csv").write_text("a,b\n1,2\n")
        batches = everything(opened("d", "d", label="y")[0])

        assert np.concatenate([b.labels for b in batches]).tolist() == ["cat", "dog"]

    def test_holes_and_kinds(self, tmp_path: Path, opened: Open) -> None:
        for value in ("7", "__HIVE_DEFAULT_PARTITION__"):
            (tmp_path / "d" / f"k={value}").mkdir(parents=True)
            (tmp_path / "d" / f"k={value}" / "x.csv").write_text("a,y\n1,0\n")
        rows = pd.concat([b.features for b in everything(opened("d", "d", label="y")[0])])

        np.testing.assert_array_equal(rows["k"], [7, np.nan])

    def test_layouts_that_differ(self, tmp_path: Path, opened: Open) -> None:
        for place in ("k=1", "other=2"):
            (tmp_path / "d" / place).mkdir(parents=True)
            (tmp_path / "d" / place / "x.csv").write_text("a,y\n1,0\n")

        assert problem_of(lambda: opened("d", "d", label="y")).code == "partitions_differ"

    def test_parts_without_a_suffix(self, tmp_path: Path, opened: Open) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "part-00000").write_text("a,y\n1,0\n")
        (tmp_path / "d" / "part-00001").write_text("a,y\n2,1\n")
        (tmp_path / "d" / "_SUCCESS").touch()

        assert np.concatenate([b.labels for b in everything(opened("d", "d", label="y")[0])]).tolist() == [0, 1]
