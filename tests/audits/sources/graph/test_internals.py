"""What a SavedModel holds about its data: models as Keras writes them, values from the model's process."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audits.artefacts import Array, Discretisation, ModelInternals, Place
from audits.models.process import start_model
from audits.sources import describe_model
from audits.sources.graph.dataflow import Dataflow, Tensor
from audits.sources.graph.input_maps import InputMaps
from audits.sources.graph.internals import layer_of, read_internals
from audits.sources.graph.messages import saved_model_class
from audits.sources.graph.values import GraphValues, constant
from audits.sources.graph.vocabularies import places_behind
from schemas.problem import EvaluatorError, ModelError

Read = Callable[..., ModelInternals]


class Checkpointless:
    """A model whose process answers with nothing, or with an error."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        self.description, self.error = describe_model(folder), error

    def variables(self, keys) -> dict[str, Array]:
        if self.error:
            raise self.error
        return {}

    def predict(self, inputs) -> dict[str, Array]:
        raise NotImplementedError

    def close(self) -> None: ...


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
class TestRealModels:
    @pytest.fixture
    def read(self, saved_models: Path) -> Read:
        def internals(name: str, **options) -> ModelInternals:
            with start_model(describe_model(saved_models / name, **options)) as model:
                found = read_internals(model)
            assert found is not None
            return found

        return internals

    def test_a_normalization_layer(self, read: Read) -> None:
        (scaler,) = read("normalised").normalisers

        assert scaler.kind == "normalization"
        assert scaler.name.startswith("scaler")
        assert scaler.mean == pytest.approx((1, 10, 100), rel=1e-5)
        assert scaler.sd == pytest.approx((2, 20, 200), rel=1e-5)
        assert scaler.places == tuple(Place("features", position) for position in range(3))

    def test_a_batch_normalisation_that_comes_first(self, read: Read) -> None:
        """Its moving statistics, whatever gamma and beta make of them."""
        found = read("batch_normalised")
        (scaler,) = found.normalisers

        assert scaler.kind == "batch_normalization"
        assert scaler.mean == pytest.approx((1, 10, 100), rel=1e-5)
        assert scaler.sd == pytest.approx((2, 20, 200), rel=1e-5)
        assert sorted((len(norm.mean), norm.first) for norm in found.batch_norms) == [(1, False), (3, True)]

    def test_normalised_columns_are_traced_to_their_inputs(self, read: Read) -> None:
        found = read("normalised_columns").normalisers

        scales = {
            place.input: (mean, sd)
            for one in found
            for place, mean, sd in zip(one.places, one.mean, one.sd, strict=True)
        }
        assert scales["c"] == pytest.approx((7, 1))
        assert scales["a"] == pytest.approx((8, 2))
        assert scales["b"] == pytest.approx((9, 3))

    def test_a_rescaling(self, read: Read) -> None:
        (scaler,) = read("rescaled").normalisers

        assert scaler.kind == "rescaling"
        assert scaler.mean[0] == pytest.approx(127.5)
        assert scaler.sd[0] == pytest.approx(127.5)

    def test_statistics_in_variables_of_a_module_behind_a_slice(self, read: Read) -> None:
        scaler = next(one for one in read("by_hand").normalisers if one.kind == "normalization")

        assert scaler.mean == pytest.approx((5, 6))
        assert scaler.sd == pytest.approx((2, 3))
        assert [place.position for place in scaler.places] == [1, 2]

    def test_a_model_of_tensorflow_1(self, read: Read) -> None:
        (scaler,) = read("version_1_scaled").normalisers

        assert scaler.mean == pytest.approx((3, 4))
        assert scaler.sd == pytest.approx((5, 6))

    def test_vocabularies(self, read: Read) -> None:
        found = {place.input: one for one in read("lookups").vocabularies for place in one.places}

        assert found["city"].tokens == ("Paris", "Rome")
        assert found["shop"].tokens == (3, 5)
        assert found["note"].tokens == ("good", "bad")
        assert (found["note"].is_split, found["note"].is_lowered) == (True, True)
        assert (found["city"].is_split, found["city"].is_lowered) == (False, False)

    def test_embeddings_are_traced_to_ids_but_not_through_lookups(self, read: Read) -> None:
        found = {one.name: one for one in read("lookups").embeddings}

        assert (found["of_shop"].rows, found["of_shop"].width) == (9, 4)
        assert found["of_shop"].places == (Place("shop"),)
        assert found["of_city"].places == found["of_note"].places == ()

    def test_boundaries(self, read: Read) -> None:
        (found,) = read("lookups").discretisations

        assert found == Discretisation(found.name, (18.0, 65.0), (Place("age"),))

    def test_a_vocabulary_in_a_file(self, read: Read) -> None:
        (vocabulary,), (table,) = read("asset").vocabularies, read("asset").embeddings

        assert vocabulary.tokens == ("red", "green")
        assert vocabulary.places == (Place("colour"),)
        assert (table.rows, table.places) == (7, (Place("number"),))

    def test_spectra_of_large_matrices_alone(self, read: Read) -> None:
        weights = {one.shape: one for one in read("normalised").weights}

        assert weights[3, 60].alpha is None
        assert 1 < weights[60, 60].stable_rank < 60
        assert weights[60, 60].alpha > 1

    @pytest.mark.parametrize("name", ["sum", "image", "text", "counts", "module", "keras_softmax", "no_outputs_named"])
    def test_models_that_hold_nothing_of_their_data(self, read: Read, name: str) -> None:
        assert read(name).normalisers == read(name).vocabularies == ()

    def test_what_types_the_kernels_compute_in(self, read: Read) -> None:
        assert read("normalised").compute_types == ("float32",)

    def test_constants_are_read_without_a_checkpoint(self, saved_models: Path) -> None:
        (scaler,) = read_internals(Checkpointless(saved_models / "normalised")).normalisers

        assert scaler.mean == pytest.approx((1, 10, 100), rel=1e-5)

    def test_a_checkpoint_that_cannot_be_read_costs_the_internals_alone(self, saved_models: Path) -> None:
        assert read_internals(Checkpointless(saved_models / "by_hand", ModelError("variables_unreadable", "x"))) is None
        assert read_internals(Checkpointless(saved_models / "by_hand", ValueError("x"))) is None

    def test_the_death_of_the_models_process_is_told(self, saved_models: Path) -> None:
        with pytest.raises(EvaluatorError):
            read_internals(Checkpointless(saved_models / "by_hand", EvaluatorError("model_crashed", "x")))

    def test_an_asset_is_read_within_the_model_alone(self, saved_models: Path, tmp_path: Path) -> None:
        """A file name with a path in it, or of a file that is not there, is no vocabulary."""
        folder = tmp_path / "model"
        shutil.copytree(saved_models / "asset", folder)
        (tmp_path / "secret.txt").write_text("secret\n")
        path, model = folder / "saved_model.pb", Checkpointless(folder)
        path.write_bytes(path.read_bytes().replace(b"colours.txt", b"../../s.txt"))

        assert read_internals(model).vocabularies == ()

    @pytest.mark.parametrize("text", [b"red\r\ngreen\r\n", b"red\r\ngreen\r", b"red\ngreen"])
    def test_line_ends_of_windows_in_a_vocabulary(self, saved_models: Path, tmp_path: Path, text: bytes) -> None:
        folder = tmp_path / "model"
        shutil.copytree(saved_models / "asset", folder)
        (folder / "assets" / "colours.txt").write_bytes(text)
        (vocabulary,) = read_internals(Checkpointless(folder)).vocabularies

        assert (vocabulary.tokens, vocabulary.size) == (("red", "green"), 2)


class TestConstants:
    @staticmethod
    def attribute(dtype: int, shape: list[int], **values):
        attribute = saved_model_class()().meta_graphs.add().graph.nodes.add().attributes["value"]
        attribute.constant.dtype = dtype
        for size in shape:
            attribute.constant.shape.dimensions.add(size=size)
        for name, value in values.items():
            if name == "content":
                attribute.constant.content = value
            else:
                getattr(attribute.constant, name).extend(value)
        return attribute

    def test_bytes_of_numbers(self) -> None:
        content = np.array([[1, 2], [3, 4]], dtype="<f4").tobytes()

        assert constant(self.attribute(1, [2, 2], content=content)).tolist() == [[1, 2], [3, 4]]

    def test_the_last_value_is_repeated(self) -> None:
        assert constant(self.attribute(1, [3], floats=[1.0, 2.0])).tolist() == [1, 2, 2]

    def test_zeros_are_left_out(self) -> None:
        assert constant(self.attribute(3, [2])).tolist() == [0, 0]

    def test_half_precision_is_listed_in_bits(self) -> None:
        """As `Rescaling` writes its scale under a policy of mixed precision."""
        assert constant(self.attribute(19, [2], halves=[int(np.float16(0.5).view(np.uint16))])).tolist() == [0.5, 0.5]

    @pytest.mark.parametrize("bits", [-1, 2**16])
    def test_more_than_half_precision_is_no_value(self, bits: int) -> None:
        assert constant(self.attribute(19, [1], halves=[bits])) is None

    @pytest.mark.parametrize("dtype", [0, 8, 14, 20, 22, 23, 99])
    def test_types_whose_values_stand_elsewhere_are_not_zero(self, dtype: int) -> None:
        assert constant(self.attribute(dtype, [1])) is None

    def test_texts(self) -> None:
        assert constant(self.attribute(7, [2], strings=[b"a", b"b"])).tolist() == [b"a", b"b"]

    @pytest.mark.parametrize(("dtype", "content"), [(1, b"123"), (14, b"12")])
    def test_bytes_that_do_not_fit_are_no_value(self, dtype: int, content: bytes) -> None:
        assert constant(self.attribute(dtype, [1], content=content)) is None

    def test_a_text_that_is_left_out_is_empty(self) -> None:
        assert constant(self.attribute(7, [2])).tolist() == [b"", b""]

    def test_huge_constants_are_not_unpacked(self) -> None:
        assert constant(self.attribute(1, [10**9], floats=[1.0])) is None

    @pytest.mark.parametrize("shape", [[-1], [2, -1], [-1, -1], [2**32, 2**32], [2**62, 4], [2**31, 2**31, 0, -1]])
    def test_shapes_that_no_value_has(self, shape: list[int]) -> None:
        assert constant(self.attribute(1, shape, floats=[1.0])) is None


class Graph:
    """A graph written by hand."""

    def __init__(self) -> None:
        self.meta_graph = saved_model_class()().meta_graphs.add()

    def add(self, name: str, op: str, *inputs: str, **masks: int) -> str:
        node = self.meta_graph.graph.nodes.add(name=name, op=op, inputs=inputs)
        for key, value in masks.items():
            node.attributes[key].int = value
        return name

    def constant(self, name: str, dtype: int, shape: list[int], **values) -> str:
        made = self.meta_graph.graph.nodes.add(name=name, op="Const").attributes["value"]
        made.CopyFrom(TestConstants.attribute(dtype, shape, **values))
        return name

    def values(self, restore_op: str = "") -> GraphValues:
        return GraphValues(Dataflow(self.meta_graph.graph), restore_op)

    def value(self, name: str) -> Array | None:
        values = self.values()
        return values.of(values.flow.source(name))


class TestHostileValues:
    def test_a_number_is_no_name_in_the_checkpoint(self) -> None:
        """bytes(10**11) would be as many zeros."""
        graph = Graph()
        graph.add("variable", "VarHandleOp")
        graph.constant("names", 9, [1], longs=[10**11])
        graph.add("restored", "RestoreV2", "prefix", "names", "slices")
        graph.add("assigned", "AssignVariableOp", "variable", "restored")
        assert graph.values().key_of == {}

        texts = Graph()
        texts.add("variable", "VarHandleOp")
        texts.constant("names", 7, [1], strings=[b"w"])
        texts.add("restored", "RestoreV2", "prefix", "names", "slices")
        texts.add("assigned", "AssignVariableOp", "variable", "restored")
        assert texts.values().key_of == {"variable": "w"}

    def test_arrays_that_blow_up_where_they_meet(self) -> None:
        graph = Graph()
        graph.constant("column", 1, [10**6, 1], floats=[1.0])
        graph.constant("row", 1, [1, 10**6], floats=[1.0])
        graph.add("sum", "AddV2", "column", "row")

        assert graph.value("sum") is None

    def test_texts_that_grow_by_doubling(self) -> None:
        graph = Graph()
        graph.constant("t0", 7, [1], strings=[b"x"])
        for step in range(35):
            graph.add(f"t{step + 1}", "Add", f"t{step}", f"t{step}")

        assert graph.value("t35") is None

    def test_an_axis_that_is_none(self) -> None:
        graph = Graph()
        graph.constant("x", 1, [2], floats=[1.0])
        graph.constant("axes", 3, [2], ints=[0, 1])
        graph.constant("infinity", 1, [], floats=[np.inf])

        for axis in ("axes", "infinity"):
            assert graph.value(graph.add(f"expanded_{axis}", "ExpandDims", "x", axis)) is None


class TestSlices:
    """Masks as TensorFlow writes them for Python's slices."""

    @staticmethod
    def graph(begin: list[int], end: list[int], **masks: int) -> tuple[Graph, Tensor]:
        graph = Graph()
        graph.add("x", "Placeholder")
        graph.constant("begin", 3, [2], ints=begin)
        graph.constant("end", 3, [2], ints=end)
        graph.constant("step", 3, [2], ints=[1, 1])
        graph.constant("scale", 1, [], floats=[2.0])
        graph.add("sliced", "StridedSlice", "x", "begin", "end", "step", **masks)
        graph.add("scaled", "Mul", "sliced", "scale")
        return graph, Dataflow(graph.meta_graph.graph).source("sliced")

    @pytest.mark.parametrize(
        ("said", "begin", "end", "masks", "columns"),
        [
            ("[:, :-1]", [0, 0], [0, -1], {"begin_mask": 3, "end_mask": 1}, [0, 1, 2]),
            ("[:, 1:-1]", [0, 1], [0, -1], {"begin_mask": 1, "end_mask": 1}, [1, 2]),
            ("[:, 1:]", [0, 1], [0, 0], {"begin_mask": 1, "end_mask": 3}, [1, 2, 3]),
            ("[:, -2:]", [0, -2], [0, 0], {"begin_mask": 1, "end_mask": 3}, [2, 3]),
            ("[:, :2]", [0, 0], [0, 2], {"begin_mask": 3, "end_mask": 1}, [0, 1]),
            ("[:, 1:9]", [0, 1], [0, 9], {"begin_mask": 1, "end_mask": 1}, [1, 2, 3]),
            ("[:, -1]", [0, -1], [0, 0], {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2}, [3]),
            ("[:, 2]", [0, 2], [0, 3], {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2}, [2]),
            ("[..., 1:3]", [0, 1], [0, 3], {"ellipsis_mask": 1}, [1, 2]),
            ("[:, None]", [0, 0], [0, 0], {"begin_mask": 1, "end_mask": 1, "new_axis_mask": 2}, None),
            ("[:, 3:1]", [0, 3], [0, 1], {"begin_mask": 1, "end_mask": 1}, None),
            ("[0:2, 1:3]", [0, 1], [2, 3], {"begin_mask": 1}, None),
            ("[0, 1:3]", [0, 1], [1, 3], {"shrink_axis_mask": 1}, None),
        ],
    )
    def test_columns(self, said: str, begin: list[int], end: list[int], masks: dict, columns: list[int] | None) -> None:
        graph, sliced = self.graph(begin, end, **masks)
        values = graph.values()
        found = InputMaps(values, {"x": ("input", 4)}).of(values.flow.source("scaled"))

        places = None if found is None else [place.position for place in found.places]
        assert (said, places) == (said, columns)
        one = places_behind(values.flow, values, sliced, {"x": ("input", 4)})
        if columns is not None and len(columns) == 1:
            assert one == (Place("input", columns[0]),)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("functional_1/normalization_1/truediv", "normalization_1"),
        ("model/bn/batchnorm/add_1", "bn"),
        ("dense/kernel", "dense"),
        ("w", "w"),
        ("", ""),
    ],
)
def test_the_layer_in_a_name(name: str, layer: str) -> None:
    assert layer_of(name) == layer
