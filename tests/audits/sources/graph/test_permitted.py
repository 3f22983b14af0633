"""What a graph may hold, on graphs written by hand; the zoo has those that TensorFlow writes."""

import pytest

from audits.sources.graph import permitted
from audits.sources.graph.allowed_ops import ALLOWED, KNOWN, allowed, refused
from audits.sources.graph.messages import asset_class, saved_model_class
from audits.sources.graph.permitted import require_permitted
from schemas.problem import ModelError

STRING, VARIANT, RESOURCE = 7, 21, 20


@pytest.fixture
def meta_graph():
    return saved_model_class()().meta_graphs.add()


def add(place, name: str, op: str, *inputs: str, calls: str | None = None, **attributes: bytes):
    node = place.nodes.add(name=name, op=op, inputs=inputs)
    if calls:
        node.attributes["f"].function.name = calls
    for key, value in attributes.items():
        node.attributes[key].bytes = value
    return node


def function(meta_graph, name: str, *arguments: str):
    made = meta_graph.graph.library.functions.add()
    made.signature.name = name
    for argument in arguments:
        made.signature.inputs.add(name=argument)
    return made


def problem(meta_graph, **options) -> ModelError:
    with pytest.raises(ModelError) as caught:
        require_permitted(meta_graph, **options)
    return caught.value


class TestOps:
    def test_what_computes_is_let_through(self, meta_graph) -> None:
        for op in ("MatMul", "StatefulPartitionedCall", "LookupTableFindV2", "ParseExampleV2", "TensorListStack"):
            add(meta_graph.graph, op, op)

        require_permitted(meta_graph)

    @pytest.mark.parametrize("op", ["ReadFile", "WriteFile", "PyFunc", "Abort", "TextLineDataset", "RpcServer"])
    def test_what_does_more_is_not(self, meta_graph, op: str) -> None:
        add(function(meta_graph, "nobody_calls_it"), "n", op)
        found = problem(meta_graph)

        assert (found.code, found.op) == ("model_forbidden_op", op)
        assert "node 'n' of the function 'nobody_calls_it'" in found.detail

    def test_an_operator_may_allow_it(self, meta_graph) -> None:
        add(meta_graph.graph, "n", "ReadFile")

        require_permitted(meta_graph, frozenset({"ReadFile"}))

    def test_ops_of_other_libraries_are_named_by_others(self, meta_graph) -> None:
        """About them there is more to say than that they are not allowed."""
        add(meta_graph.graph, "n", "InfeedDequeue")
        add(meta_graph.graph, "m", "Addons>Op")

        require_permitted(meta_graph)

    def test_names_of_a_model_stay_short_and_on_their_line(self, meta_graph) -> None:
        add(meta_graph.graph, "n\n\x1b[31m" + "a" * 10_000, "ReadFile")
        found = problem(meta_graph)

        assert len(found.detail) < 500
        assert found.detail.isprintable()


class TestAttributes:
    @pytest.mark.parametrize(
        ("op", "attribute", "harmless", "harmful"),
        [
            ("PrintV2", "output_stream", b"stderr", b"file:///tmp/x"),
            ("PrintV2", "output_stream", b"log(info)", b"log(info)\n"),
            ("FixedUnigramCandidateSampler", "vocab_file", b"", b"/etc/passwd"),
            ("DecodeProtoV2", "descriptor_source", b"bytes://x", b"/etc/passwd"),
            ("EncodeProto", "descriptor_source", b"local://", b"../x"),
        ],
    )
    def test_no_file_is_named(self, meta_graph, op: str, attribute: str, harmless: bytes, harmful: bytes) -> None:
        node = add(meta_graph.graph, "n", op, **{attribute: harmless})
        require_permitted(meta_graph)

        node.attributes[attribute].bytes = harmful
        assert problem(meta_graph).code == "model_forbidden_op"

    @pytest.mark.parametrize("dtype", [VARIANT, RESOURCE, VARIANT + 100])
    def test_no_handle_is_written_by_hand(self, meta_graph, dtype: int) -> None:
        node = add(meta_graph.graph, "n", "Const")
        node.attributes["value"].constant.dtype = STRING
        require_permitted(meta_graph)

        node.attributes["value"].constant.dtype = dtype
        assert problem(meta_graph).op == "Const"


class TestTables:
    def test_a_vocabulary_is_an_asset(self, meta_graph) -> None:
        add(meta_graph.graph, "words", "Const")
        add(meta_graph.graph, "passed", "Identity", "words")
        add(meta_graph.graph, "init", "InitializeTableFromTextFileV2", "table", "passed:0")
        assert "not among the model's assets" in problem(meta_graph).detail

        meta_graph.assets.add(filename="words.txt").tensor.name = "words:0"
        require_permitted(meta_graph)

    def test_a_vocabulary_of_tensorflow_1_stands_in_a_collection(self, meta_graph) -> None:
        add(meta_graph.graph, "words", "Const")
        add(meta_graph.graph, "init", "InitializeTableFromTextFileV2", "table", "words")
        asset = asset_class()(filename="words.txt")
        asset.tensor.name = "words:0"
        packed = meta_graph.collections["saved_model_assets"].any_list.value.add()
        packed.value = asset.SerializeToString()
        require_permitted(meta_graph)

        packed.value = b"\xff"
        assert problem(meta_graph).code == "model_malformed"

    def test_a_captured_asset_is_an_argument(self, meta_graph) -> None:
        initializer = function(meta_graph, "init", "table", "file")
        node = add(initializer, "n", "InitializeTableFromTextFileV2", "table", "file")
        require_permitted(meta_graph)

        add(initializer, "path", "Const")
        node.inputs[1] = "path:output:0"
        assert problem(meta_graph).op == "InitializeTableFromTextFileV2"

    @pytest.fixture
    def captured(self, meta_graph):
        """As TensorFlow 2 writes it: a variable holds the path, and functions hand it on."""
        add(meta_graph.graph, "words", "Placeholder")
        add(meta_graph.graph, "put", "AssignVariableOp", "variable", "words")
        add(meta_graph.graph, "path", "ReadVariableOp", "variable", "^put")
        add(meta_graph.graph, "call", "StatefulPartitionedCall", "path", "table", calls="outer")
        add(function(meta_graph, "outer", "a", "b"), "n", "StatefulPartitionedCall", "a", "b", calls="init")
        add(function(meta_graph, "init", "file", "table"), "n", "InitializeTableFromTextFileV2", "table", "file")
        meta_graph.assets.add(filename="words.txt").tensor.name = "words:0"
        meta_graph.objects.functions["outer"].bound_inputs.extend([0, 1])
        meta_graph.objects.nodes.add().asset.SetInParent()
        meta_graph.objects.nodes.add()
        return meta_graph

    def test_it_is_followed_through_calls_and_variables(self, captured) -> None:
        require_permitted(captured)

    @pytest.mark.parametrize("op", ["Const", "Placeholder"])
    def test_another_call_passes_another_file(self, captured, op: str) -> None:
        add(captured.graph, "secret", op)
        add(captured.graph, "again", "PartitionedCall", "secret", "table", calls="outer")

        assert "not among the model's assets" in problem(captured).detail

    def test_branches_are_passed_what_comes_after_the_condition(self, captured) -> None:
        add(captured.graph, "either", "If", "condition", "path", "table", calls="outer")
        require_permitted(captured)

        captured.graph.nodes[-1].inputs[:] = ["path", "condition", "table"]
        assert problem(captured).op == "InitializeTableFromTextFileV2"

    def test_another_value_is_put_into_the_variable(self, captured) -> None:
        add(captured.graph, "secret", "Const")
        add(captured.graph, "put_1", "AssignVariableOp", "variable", "secret")

        assert problem(captured).op == "InitializeTableFromTextFileV2"

    @pytest.mark.parametrize("bound", [[1, 1], [7, 1], [-1, 1]])
    def test_the_loader_binds_another_file(self, captured, bound: list[int]) -> None:
        captured.objects.functions["outer"].bound_inputs[:] = bound

        assert problem(captured).op == "InitializeTableFromTextFileV2"

    def test_whoever_loads_it_may_pass_any_file(self, captured) -> None:
        del captured.graph.nodes[3:]
        captured.objects.functions["outer"].bound_inputs[:] = []

        assert problem(captured).op == "InitializeTableFromTextFileV2"


class TestCheckpoints:
    @pytest.fixture
    def saving(self, meta_graph):
        """As TensorFlow 2 writes it."""
        add(function(meta_graph, "save", "prefix"), "n", "SaveV2", "prefix")
        add(function(meta_graph, "restore", "prefix"), "n", "RestoreV2", "prefix")
        add(meta_graph.graph, "call", "StatefulPartitionedCall", "filename", calls="save")
        add(meta_graph.graph, "call_1", "StatefulPartitionedCall", "filename", calls="restore")
        meta_graph.saver.filename = "filename:0"
        meta_graph.saver.save_tensor, meta_graph.saver.restore_op = "call:0", "call_1"
        meta_graph.objects.nodes.add()
        return meta_graph

    def test_the_savers_functions_save(self, saving) -> None:
        require_permitted(saving)

    def test_others_do_not(self, saving) -> None:
        add(function(saving, "other", "x"), "n", "SaveV2", "x")

        assert problem(saving).op == "SaveV2"

    def test_what_an_estimator_leaves_over_runs_nowhere(self, meta_graph) -> None:
        """The saver of a model that was loaded into it; a model of TensorFlow 1 has no objects to call it."""
        add(function(meta_graph, "left_over", "x"), "n", "SaveV2", "x")
        require_permitted(meta_graph)

        meta_graph.objects.nodes.add()
        assert problem(meta_graph).op == "SaveV2"
        meta_graph.ClearField("objects")
        add(function(meta_graph, "caller", "x"), "n", "PartitionedCall", "x", calls="left_over")
        assert problem(meta_graph).op == "SaveV2"

    def test_nobody_else_calls_them(self, saving) -> None:
        add(function(saving, "answer"), "n", "PartitionedCall", calls="save")

        assert problem(saving).op == "SaveV2"

    def test_a_graph_of_tensorflow_1_restores_the_file_that_it_is_told(self, meta_graph) -> None:
        add(meta_graph.graph, "save/input", "Const")
        add(meta_graph.graph, "save/Const", "PlaceholderWithDefault", "save/input")
        node = add(meta_graph.graph, "save/RestoreV2", "RestoreV2", "save/Const", "names")
        add(meta_graph.graph, "save/SaveV2", "SaveV2", "save/Const")
        meta_graph.saver.filename, meta_graph.saver.restore_op = "save/Const:0", "save/restore_all"
        require_permitted(meta_graph)

        node.inputs[0] = "save/input"
        assert "another file" in problem(meta_graph).detail

    @pytest.mark.parametrize("runs", ["signature", "restore", "main_op"])
    def test_a_graph_of_tensorflow_1_saves_when_it_is_told(self, meta_graph, runs: str) -> None:
        add(meta_graph.graph, "save", "SaveV2", "file")
        add(meta_graph.graph, "y", "NoOp", "^save")
        require_permitted(meta_graph)

        if runs == "signature":
            meta_graph.signatures["s"].outputs["y"].name = "y:0"
        elif runs == "restore":
            meta_graph.saver.restore_op = "y"
        else:
            meta_graph.collections["saved_model_main_op"].node_list.value.append("y")
        assert problem(meta_graph).op == "SaveV2"


class TestSize:
    def test_calls_that_multiply(self, meta_graph) -> None:
        for level in range(40):
            made = function(meta_graph, f"f{level}")
            for place in range(2):
                add(made, f"n{place}", "PartitionedCall", calls=f"f{level - 1}" if level else None)

        assert problem(meta_graph).code == "model_too_complex"

    def test_a_function_that_calls_itself(self, meta_graph) -> None:
        add(function(meta_graph, "a"), "n", "PartitionedCall", calls="b")
        add(function(meta_graph, "b"), "n", "While", calls="a")

        found = problem(meta_graph)
        assert (found.code, "calls itself" in found.detail) == ("model_too_complex", True)

    def test_a_chain_longer_than_pythons_stack(self, meta_graph) -> None:
        for level in range(5_000):
            add(function(meta_graph, f"f{level}"), "n", "PartitionedCall", calls=f"f{level - 1}")

        require_permitted(meta_graph)

    def test_too_many_nodes(self, meta_graph, monkeypatch) -> None:
        monkeypatch.setattr(permitted, "MAX_NODES", 3)
        for place in range(4):
            add(meta_graph.graph, f"n{place}", "NoOp")

        assert problem(meta_graph).code == "model_too_complex"

    def test_variables_that_fill_any_machine(self, meta_graph) -> None:
        node = add(meta_graph.graph, "v", "VarHandleOp")
        node.attributes["dtype"].type = 1
        node.attributes["shape"].shape.dimensions.add(size=2**30)
        require_permitted(meta_graph)

        node.attributes["shape"].shape.dimensions.add(size=100)
        assert problem(meta_graph).code == "model_too_large"


class TestLists:
    @pytest.mark.tensorflow
    def test_they_are_those_of_the_tensorflow_here(self) -> None:
        """A new TensorFlow adds ops; somebody looks at them and runs `python -m scripts.write_allowed_ops`."""
        pytest.importorskip("tensorflow")
        from scripts.write_allowed_ops import contents  # noqa: PLC0415 - where TensorFlow is

        assert contents() == {path: path.read_text() for path in (ALLOWED, KNOWN)}

    def test_no_op_stands_in_both(self) -> None:
        assert not allowed() & refused()
        assert len(allowed()) > 1_000

    @pytest.mark.parametrize("word", ["File", "Dataset", "PyFunc", "Writer", "Reader", "Rpc", "Socket", "Debug"])
    def test_no_allowed_op_sounds_as_if_it_reached_out(self, word: str) -> None:
        looked_at = {
            *("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"),  # a rule of their own
            *("ShardedFilename", "ShardedFilespec", "BoostedTreesExampleDebugOutputs"),  # they write texts
        }

        assert not [op for op in allowed() - looked_at if word in op]
