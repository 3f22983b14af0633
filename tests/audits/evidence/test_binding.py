"""Columns and arrays reach the inputs that they belong to, and the rest is said."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Column, FoundText, ModelDescription, TensorSpec
from audits.evidence.binding import Binding, bind
from audits.evidence.feeds.tensors import Feed
from schemas.problem import ProblemError


class FakeSplit:
    """The schema of a split; its rows are never read."""

    name = "train"
    files = ("/data/train.npz",)

    def __init__(self, columns: dict[str, str] | None = None, row_shape: tuple[int, ...] = ()) -> None:
        self.layout = "array" if columns is None else "table"
        self.columns = tuple(Column(name, kind) for name, kind in (columns or {}).items())  # type: ignore[arg-type]
        self.row_shape = row_shape


def numbers(*names: str) -> FakeSplit:
    return FakeSplit(dict.fromkeys(names, "number"))


def spec(*shape: int | None, name: str = "x", dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, dtype, shape)


def bound(split: FakeSplit, *specs: TensorSpec) -> Binding:
    description = ModelDescription("m", "serve", ("serve",), ("serve",), specs, (), "2.21")
    return bind(split, description)  # type: ignore[arg-type]


def refused(split: FakeSplit, *specs: TensorSpec) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        bound(split, *specs)
    return caught.value


def fed(binding: Binding, rows: Any) -> np.ndarray:
    (array,) = binding.inputs(rows).values()
    return array


class TestOneInput:
    def test_all_columns_in_file_order(self) -> None:
        binding = bound(numbers("b", "a"), spec(None, 2))
        array = fed(binding, pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]}))

        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, [[0.5, 1], [np.nan, 2]])
        assert binding.used_columns == ("b", "a")

    @pytest.mark.parametrize("shape", [(None, None), (4, 2), (None, 2, 1), (None, 1, 2), (None, None, 1)])
    def test_shapes_that_hold_two_values(self, shape: tuple) -> None:
        array = fed(bound(numbers("a", "b"), spec(*shape)), pd.DataFrame({"a": [1.0], "b": [2.0]}))

        assert array.ravel().tolist() == [1, 2]
        assert array.ndim == len(shape)

    @pytest.mark.parametrize("shape", [(None, None, None), (None, None, 3), (None, None, 0)])
    def test_shapes_that_columns_cannot_have(self, shape: tuple) -> None:
        assert refused(numbers("a", "b"), spec(*shape)).code == "inputs_unsupported"

    def test_an_input_of_unknown_rank(self) -> None:
        binding = bound(numbers("a", "b"), TensorSpec("x", "float64", None))

        assert fed(binding, pd.DataFrame({"a": [1.0], "b": [2.0]})).tolist() == [[1, 2]]

    @pytest.mark.parametrize("width", [1, 3])
    def test_another_number_of_columns(self, width: int) -> None:
        problem = refused(numbers("a", "b"), spec(None, width))

        assert (problem.code, problem.field) == ("feature_count_mismatch", "data.features")
        assert f"{width} values" in problem.detail
        assert "2 feature columns: 'a', 'b'" in problem.detail
        assert ("1 is missing" if width == 3 else "1 is too many: name what is no feature in data.exclude") in (
            problem.detail
        )

    @pytest.mark.parametrize("shape", [(None,), (None, 1)])
    def test_an_input_for_one_value(self, shape: tuple) -> None:
        rows = pd.DataFrame({"a": [1.0, 2.0], "X": [3.0, 4.0]})
        only, named = bound(numbers("a"), spec(*shape)), bound(numbers("a", "X"), spec(*shape))

        assert fed(only, rows).shape == (2, *shape[1:])
        assert fed(named, rows).ravel().tolist() == [3, 4]
        assert named.unused_columns == ("a",)

    def test_the_only_text_feeds_the_only_input_of_text(self) -> None:
        split = FakeSplit({"n": "number", "review": "string"})
        binding = bound(split, spec(None, dtype="string"))

        assert binding.used_columns == ("review",)
        assert binding.unused_columns == ("n",)

    def test_a_matrix_of_text(self) -> None:
        split = FakeSplit({"a": "string", "b": "number"})
        array = fed(bound(split, spec(None, 2, dtype="string")), pd.DataFrame({"a": ["x", None], "b": [1.0, 2.5]}))

        assert array.tolist() == [["x", "1"], ["", "2.5"]]

    def test_text_for_an_input_of_numbers_names_the_cell(self) -> None:
        split = numbers("a", "b")
        split.columns = (Column("a", "number"), Column("b", "string", FoundText("n/k", 7, "/data/t.csv")))
        problem = refused(split, spec(None, 2))

        assert (problem.code, problem.column, problem.row) == ("text_in_numeric_column", "b", 7)
        assert problem.file == "/data/t.csv"
        assert "'n/k'" in problem.detail

    @pytest.mark.parametrize(("kind", "held"), [("string", "text"), ("time", "time stamps")])
    def test_kinds_that_are_no_numbers(self, kind: str, held: str) -> None:
        problem = refused(FakeSplit({"a": "number", "b": kind}), spec(None, 2))

        assert (problem.code, problem.column) == ("text_in_numeric_column", "b")
        assert held in problem.detail

    def test_truth_values_are_numbers(self) -> None:
        binding = bound(FakeSplit({"a": "boolean"}), spec(None, 1))

        assert fed(binding, pd.DataFrame({"a": [1.0, 0.0]})).tolist() == [[1], [0]]

    def test_values_beyond_float32_become_infinite_without_a_warning(self) -> None:
        assert np.isinf(fed(bound(numbers("a"), spec(None, 1)), pd.DataFrame({"a": [1e300]}))).all()

    @pytest.mark.parametrize(("dtype", "sent"), [("float16", "float32"), ("bfloat16", "float32"), ("int64", "int64")])
    def test_what_is_sent(self, dtype: str, sent: str) -> None:
        binding = bound(numbers("a"), spec(None, 1, dtype=dtype))

        assert fed(binding, pd.DataFrame({"a": [1.0]})).dtype == sent
        assert binding.describe()["inputs"][0]["sent_as"] == sent

    def test_whole_numbers_keep_every_digit(self) -> None:
        big = 2**53 + 1

        assert fed(bound(numbers("a"), spec(None, dtype="int64")), pd.DataFrame({"a": [big]})).tolist() == [big]

    def test_what_a_cast_to_whole_numbers_changes_is_told(self) -> None:
        binding = bound(numbers("a", "b", "c"), spec(None, 3, dtype="int8"))
        rows = pd.DataFrame({"a": [1, 127, 128, 300], "b": [1.0, 2.5, -1.0, 0.0], "c": [1, -128, 0, 127]})

        assert binding.changed_by_cast(rows) == {"a": 0.5, "b": 0.25}
        assert bound(numbers("b"), spec(None, 1)).changed_by_cast(rows) == {}
        assert bound(FakeSplit(row_shape=()), spec(None, dtype="uint8")).changed_by_cast(np.array([-1, 1])) == {
            "x": 0.5
        }

    @pytest.mark.parametrize("hole", [np.nan, np.inf])
    def test_a_hole_has_no_whole_number(self, hole: float) -> None:
        binding = bound(numbers("a", "b"), spec(None, 2, dtype="int32"))
        with pytest.raises(ProblemError) as caught:
            binding.inputs(pd.DataFrame({"a": [1, 2], "b": [1.0, hole]}))

        assert (caught.value.code, caught.value.column) == ("missing_value_in_integer_input", "b")


class TestNamedInputs:
    INPUTS = (spec(None, 1, name="age"), spec(None, name="home_city", dtype="string"))

    def test_columns_are_found_by_name(self) -> None:
        split = FakeSplit({"home_city": "string", "z": "number", "age": "number"})
        binding = bound(split, *self.INPUTS)
        inputs = binding.inputs(pd.DataFrame({"home_city": ["a", None], "z": [0, 0], "age": [30, 40]}))

        assert inputs["age"].tolist() == [[30], [40]]
        assert inputs["home_city"].tolist() == ["a", ""]
        assert binding.used_columns == ("age", "home_city")
        assert binding.unused_columns == ("z",)

    def test_names_that_differ_in_case_blanks_and_punctuation(self) -> None:
        binding = bound(FakeSplit({" Home-City": "string", "AGE": "number"}), *self.INPUTS)

        assert binding.used_columns == ("AGE", " Home-City")
        assert "' Home-City'" in binding.describe()["inputs"][1]["note"]

    def test_the_exact_name_wins(self) -> None:
        binding = bound(FakeSplit({"Age": "number", "age": "number", "home_city": "string"}), *self.INPUTS)

        assert binding.feeds[0].columns == ("age",)

    def test_two_names_that_are_alike_are_not_guessed_at(self) -> None:
        split = FakeSplit({"Age": "number", "AGE": "number", "home_city": "string"})

        assert refused(split, *self.INPUTS).code == "feature_missing"

    def test_a_missing_column_names_what_there_is(self) -> None:
        problem = refused(FakeSplit({"ages": "number", "home_city": "string"}), *self.INPUTS)

        assert (problem.code, problem.column) == ("feature_missing", "age")
        assert "'ages', 'home_city'" in problem.detail
        assert "Did you mean 'ages'? Rename the column as the input" in problem.detail

    def test_text_for_a_number_is_refused(self) -> None:
        assert refused(FakeSplit({"age": "string", "home_city": "string"}), *self.INPUTS).column == "age"

    def test_numbers_as_text(self) -> None:
        binding = bound(numbers("x", "n"), spec(None, dtype="string"), spec(None, name="n"))
        rows = pd.DataFrame({"x": [1.0, 2.5, np.nan], "n": [1, 2, 3]})

        assert binding.inputs(rows)["x"].tolist() == ["1", "2.5", ""]
        assert binding.inputs(rows.assign(x=[1, 2, 3]))["x"].tolist() == ["1", "2", "3"]
        assert binding.inputs(rows.assign(x=["a", "b", None]))["x"].tolist() == ["a", "b", ""]

    def test_one_wide_input_takes_the_columns_that_are_left(self) -> None:
        split = FakeSplit({"a": "number", "city": "string", "b": "number"})
        binding = bound(split, spec(None, 2, name="rest"), spec(None, name="city", dtype="string"))
        inputs = binding.inputs(pd.DataFrame({"a": [1], "city": ["x"], "b": [2]}))

        assert inputs["rest"].tolist() == [[1, 2]]
        assert list(inputs) == ["rest", "city"]

    def test_two_wide_inputs_cannot_be_told_apart(self) -> None:
        problem = refused(numbers("a", "b", "c", "d"), spec(None, 2, name="p"), spec(None, 2, name="q"))

        assert (problem.code, problem.field) == ("inputs_unsupported", "model.signature")


class TestArrays:
    @pytest.mark.parametrize(
        ("row_shape", "shape", "note"),
        [
            ((3,), (None, 3), None),
            ((28, 28), (None, 28, 28), None),
            ((28, 28, 1), (None, None, None, 1), None),
            ((28, 28), (None, 28, 28, 1), "added"),
            ((28, 28, 1), (None, 28, 28), "removed"),
            ((28, 28), (None, 784), "reshaped"),
            ((784,), (None, 28, 28, 1), "reshaped"),
            ((), (None,), None),
            ((), (None, 1), "added"),
            ((5, 2), None, None),
        ],
    )
    def test_shapes_that_fit(self, row_shape: tuple, shape: tuple | None, note: str | None) -> None:
        binding = bound(FakeSplit(row_shape=row_shape), TensorSpec("x", "float32", shape))
        rows = np.arange(2 * int(np.prod(row_shape))).reshape(2, *row_shape)
        array = fed(binding, rows)

        assert array.ravel().tolist() == rows.ravel().tolist()
        assert array.dtype == np.float32
        said = binding.describe()["inputs"][0]["note"]
        assert (said is None) if note is None else (note in said)
        assert binding.used_columns == ()

    @pytest.mark.parametrize("shape", [(None, 4), (None, 2, 2), (None, None, 3, 1), (None,)])
    def test_shapes_that_do_not(self, shape: tuple) -> None:
        problem = refused(FakeSplit(row_shape=(3,)), spec(*shape))

        assert problem.code == "feature_shape_mismatch"
        assert "[3]" in problem.detail

    def test_an_array_feeds_one_input(self) -> None:
        assert refused(FakeSplit(row_shape=(3,)), spec(None, 3), spec(None, 3, name="z")).code == "inputs_unsupported"

    def test_text(self) -> None:
        binding = bound(FakeSplit(row_shape=()), spec(None, dtype="string"))

        assert fed(binding, np.array(["a", "b"], dtype=object)).tolist() == ["a", "b"]
        assert fed(binding, np.array([1, 2])).tolist() == ["1", "2"]

    def test_text_for_an_input_of_numbers(self) -> None:
        binding = bound(FakeSplit(row_shape=()), spec(None))
        with pytest.raises(ProblemError) as caught:
            binding.inputs(np.array(["a"], dtype=object))

        assert caught.value.code == "text_in_numeric_column"

    def test_a_hole_has_no_whole_number(self) -> None:
        binding = bound(FakeSplit(row_shape=(2,)), spec(None, 2, dtype="uint8"))
        with pytest.raises(ProblemError) as caught:
            binding.inputs(np.array([[1.0, np.nan]]))

        assert caught.value.code == "missing_value_in_integer_input"


@pytest.mark.parametrize("dtype", ["complex64", "resource", "variant", "sparse"])
def test_types_that_no_data_have(dtype: str) -> None:
    assert refused(numbers("a"), spec(None, 1, dtype=dtype)).code == "inputs_unsupported"


def test_a_signature_without_inputs() -> None:
    assert refused(numbers("a")).code == "inputs_unsupported"


@pytest.mark.parametrize(("dtype", "sent"), [(np.uint8, "uint8"), (np.int16, "float32"), (np.float64, "float32")])
def test_pixels_travel_as_bytes(dtype: type, sent: str):
    """The model's process makes floats of them."""
    feed = Feed(TensorSpec("x", "float32", (None, 2, 2, 3)), (), None)
    rows = np.arange(24).reshape(2, 2, 2, 3).astype(dtype)

    array = feed.array(rows)

    assert array.dtype.name == sent
    np.testing.assert_array_equal(array, rows)
