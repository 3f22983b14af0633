"""SavedModels as TensorFlow writes them, and what else lies at an address, read without TensorFlow."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audits.artefacts import ModelDescription, TensorSpec
from audits.sources import describe_model
from audits.sources.graph import saved_model
from audits.sources.graph.messages import saved_model_class
from audits.sources.graph.output_ops import OutputOps
from schemas.problem import ModelError

EXAMPLE = Path(__file__).parents[4] / "examples" / "wrong_scaling" / "model"


def refused(path: Path, **options) -> ModelError:
    with pytest.raises(ModelError) as caught:
        describe_model(path, **options)
    assert caught.value.field in {"model.uri", "model.signature", "model.tags"}
    return caught.value


@pytest.mark.tensorflow
class TestRealModels:
    @pytest.fixture
    def described(self, saved_models: Path) -> Callable[..., ModelDescription]:
        return lambda name, **options: describe_model(saved_models / name, **options)

    def test_a_keras_export(self, described, saved_models: Path) -> None:
        description = described("keras_sigmoid")

        assert description.path == str(saved_models / "keras_sigmoid")
        assert (description.signature, description.tags) == ("serving_default", ("serve",))
        assert description.inputs == (TensorSpec("features", "float32", (None, 4)),)
        assert description.outputs == (TensorSpec("output_0", "float32", (None, 1)),)
        assert description.tensorflow_version.startswith("2.")

    @pytest.mark.parametrize(
        ("name", "output", "op"),
        [
            ("keras_sigmoid", "output_0", "Sigmoid"),
            ("keras_softmax", "output_0", "Softmax"),
            ("keras_logits", "output_0", "BiasAdd"),
            ("module", "p", "Sigmoid"),  # behind Cast and Reshape
            ("version_1", "y", "Softmax"),
            ("sum", "sum", "Sum"),
        ],
    )
    def test_the_op_behind_an_output(self, described, name: str, output: str, op: str) -> None:
        tags = ("serve", "gpu") if name == "version_1" else ("serve",)

        assert described(name, tags=tags).output_ops == {output: op}

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("keras_sigmoid", 4 * 8 + 8 + 2 * 8 + 8 + 1),  # gamma and beta, not the moving mean and variance
            ("module", 3),  # not its frozen variable
            ("version_1", 4),
            ("sum", None),
        ],
    )
    def test_trained_numbers_are_counted_once(self, described, name: str, parameters: int | None) -> None:
        tags = ("serve", "gpu") if name == "version_1" else ("serve",)

        assert described(name, tags=tags).parameters == parameters

    def test_named_inputs_of_several_types(self, described) -> None:
        assert described("named").inputs == (
            TensorSpec("age", "float32", (None, 1)),
            TensorSpec("city", "string", (None, 1)),
        )

    def test_a_custom_signature_that_is_the_only_one(self, described) -> None:
        assert described("module").signature == "score"

    def test_one_of_several_signatures(self, described) -> None:
        assert described("two_signatures", signature="plus").signature == "plus"
        assert described("two_signatures", signature="plus").signatures == ("minus", "plus")

    def test_several_signatures_and_none_named(self, saved_models: Path) -> None:
        problem = refused(saved_models / "two_signatures")

        assert (problem.code, problem.field) == ("signature_missing", "model.signature")
        assert "'minus', 'plus'" in problem.detail

    def test_a_signature_that_is_not_there(self, saved_models: Path) -> None:
        problem = refused(saved_models / "module", signature="nope")

        assert problem.code == "signature_missing"
        assert "'nope'" in problem.detail
        assert "'score'" in problem.detail

    def test_a_model_without_a_signature(self, saved_models: Path) -> None:
        assert "no signature" in refused(saved_models / "no_signature").detail

    def test_tags(self, saved_models: Path, described) -> None:
        problem = refused(saved_models / "version_1", tags=["serve"])

        assert (problem.code, problem.field) == ("tags_missing", "model.tags")
        assert "gpu + serve" in problem.detail
        assert described("version_1", tags=["gpu", "serve"]).tags == ("gpu", "serve")

    def test_the_only_graph_needs_no_tags(self, described) -> None:
        description = described("version_1")

        assert description.tags == ("gpu", "serve")
        assert "gpu + serve" in description.notes["tags"]


class TestFolders:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return Path(shutil.copytree(EXAMPLE, tmp_path / "model"))

    @pytest.mark.parametrize("missing", ["variables.index", "variables.data-00000-of-00001", ""])
    def test_weights_that_are_not_there(self, model: Path, missing: str) -> None:
        if missing:
            (model / "variables" / missing).unlink()
        else:
            shutil.rmtree(model / "variables")

        assert refused(model).code == "model_incomplete"

    def test_links_out_of_the_folder(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "secret").touch()
        (model / "assets").mkdir(exist_ok=True)
        (model / "assets" / "inner").symlink_to(model / "saved_model.pb")
        assert describe_model(model)

        (model / "assets" / "vocabulary.txt").symlink_to(tmp_path / "secret")
        problem = refused(model)

        assert (problem.code, problem.file) == ("model_path_escape", str(model / "assets" / "vocabulary.txt"))

    @pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x0a\xff\xff\xff\x7f", b"not a protobuf"])
    def test_what_is_no_protobuf(self, model: Path, content: bytes) -> None:
        """Nothing at all parses as an empty message."""
        (model / "saved_model.pb").write_bytes(content)

        assert refused(model).code == "model_malformed"

    def test_a_protobuf_that_was_cut_off(self, model: Path) -> None:
        whole = (model / "saved_model.pb").read_bytes()
        (model / "saved_model.pb").write_bytes(whole[: len(whole) // 2])

        assert refused(model).code in {"model_malformed", "signature_missing"}

    def test_messages_nested_without_end(self, model: Path) -> None:
        """Field 1 within field 1, deeper than the stack: the parser gives up."""
        nested = b""
        for _ in range(5_000):
            size = len(nested)
            varint = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) if size > 127 else bytes([size])
            nested = b"\x0a" + varint + nested
        (model / "saved_model.pb").write_bytes(
            b"\x12" + bytes([len(nested) & 0x7F | 0x80, len(nested) >> 7 & 0x7F | 0x80, len(nested) >> 14]) + nested
        )

        assert refused(model).code in {"model_malformed", "signature_missing"}

    def test_a_protobuf_that_is_too_large(self, model: Path, monkeypatch) -> None:
        monkeypatch.setattr(saved_model, "MAX_PB_BYTES", 100)

        assert refused(model).code == "model_too_large"

    def test_a_protobuf_that_is_no_file(self, model: Path) -> None:
        (model / "saved_model.pb").unlink()
        (model / "saved_model.pb").mkdir()

        assert refused(model).code == "model_malformed"


class TestOutputOps:
    """Graphs written by hand, for what exports do not show."""

    @pytest.fixture
    def graph(self):
        return saved_model_class()().meta_graphs.add().graph

    @staticmethod
    def node(graph, name: str, op: str, *inputs: str, function: str | None = None) -> None:
        node = graph.nodes.add(name=name, op=op, inputs=inputs)
        if function:
            node.attributes["f"].function.name = function

    @staticmethod
    def function(graph, name: str, inputs: list[str], returns: dict[str, str]):
        function = graph.library.functions.add()
        function.signature.name = name
        for argument in inputs:
            function.signature.inputs.add(name=argument)
        for output, reference in returns.items():
            function.signature.outputs.add(name=output)
            function.returns[output] = reference
        return function

    def test_a_function_that_passes_its_argument_through(self, graph) -> None:
        self.node(graph, "t", "Tanh")
        self.node(graph, "r", "Relu")
        self.node(graph, "call", "PartitionedCall", "r", "t", "^r", function="swap")
        self.function(graph, "swap", ["a", "b"], {"first": "b", "second": "a"})

        assert OutputOps(graph).behind("call:0") == "Tanh"
        assert OutputOps(graph).behind("call:1") == "Relu"

    def test_functions_within_functions(self, graph) -> None:
        self.node(graph, "call", "outer")
        outer = self.function(graph, "outer", [], {"y": "inner:output:1"})
        self.node(outer, "inner", "StatefulPartitionedCall", function="inner")
        inner = self.function(graph, "inner", [], {"a": "s:0", "b": "i:output:0"})
        self.node(inner, "i", "IdentityN", "s:softmax:0", "t:y:0")
        self.node(inner, "s", "Softmax")
        self.node(inner, "t", "Tanh")
        assert OutputOps(graph).behind("call:0") == "Softmax"

        inner.returns["b"] = "i:output:1"
        assert OutputOps(graph).behind("call:0") == "Tanh"

    def test_a_circle_has_no_op(self, graph) -> None:
        self.node(graph, "a", "Identity", "b")
        self.node(graph, "b", "Identity", "a")

        assert OutputOps(graph).behind("a:0") is None

    @pytest.mark.parametrize("tensor", ["missing:0", "empty:0", "call:3", "call:0"])
    def test_graphs_that_lead_nowhere(self, graph, tensor: str) -> None:
        self.node(graph, "empty", "Identity")
        self.node(graph, "call", "PartitionedCall", function="f")
        self.function(graph, "f", ["x"], {"y": "x"})

        assert OutputOps(graph).behind(tensor) is None


def test_tensorflow_is_not_imported() -> None:
    code = (
        "import sys; from pathlib import Path; from audits.sources import describe_model; "
        f"describe_model(Path({str(EXAMPLE)!r})); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
