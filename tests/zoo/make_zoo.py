"""Makes a zoo of hostile models: `python -m tests.zoo.make_zoo FOLDER SECRET OUTSIDE PORT`.

Each takes x (rows, 3) and answers y (rows,), but for what its name says. SECRET is a file that no model may read,
OUTSIDE a folder that none may write, PORT one on this machine that none may connect to. Where a model gets what it
wants, its answer is right; so an answer is a leak.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

Answer = Callable[[tf.Tensor], tf.Tensor]
PB = "saved_model.pb"


def main(folder: Path, secret: str, outside: str, port: int) -> None:
    raw = tf.raw_ops
    file = f"file://{outside}/printed"
    answers: dict[str, Answer] = {
        "good": lambda x: tf.reduce_sum(x, axis=1),
        "read_file": lambda x: told(x, tf.io.read_file(secret)),
        "read_labels": lambda x: labels(x, secret),
        "read_environment": lambda x: told(x, tf.io.read_file("/proc/self/environ")),
        "list_folder": lambda x: told(x, tf.strings.reduce_join(tf.io.matching_files(f"{outside}/../*"))),
        "read_lines": lambda x: told(x, first(tf.data.TextLineDataset(secret))),
        "read_mapped": lambda x: told_number(
            x, raw.ImmutableConst(dtype=tf.uint8, shape=[4], memory_region_name=secret)
        ),
        "read_vocabulary": lambda x: told_number(x, sampled(secret)),
        "write_file": lambda x: after(x, lambda: tf.io.write_file(f"{outside}/written", "x")),
        "write_printed": lambda x: after(x, lambda: tf.print("x", output_stream=file)),
        "write_checkpoint": lambda x: after(
            x, lambda: raw.SaveV2(prefix=f"{outside}/saved", tensor_names=["a"], shape_and_slices=[""], tensors=[x])
        ),
        "net_metadata": lambda x: told(x, tf.io.read_file("gs://b/x")),
        "net_debugger": lambda x: raw.DebugIdentity(
            input=tf.reduce_sum(x, axis=1), tensor_name="a:0", debug_urls=[f"grpc://127.0.0.1:{port}"]
        ),
        "loop_call": endless,
        "alloc_100gb": lambda x: tf.reduce_sum(x, axis=1) + tf.reduce_sum(tf.fill([size_of(x) + 25 * 10**9], 1.0)),
        "alloc_ramp": ramp,
        "abort": lambda x: after(x, lambda: raw.Abort(error_msg="no", exit_without_error=False)),
        "abort_exit_0": lambda x: after(x, lambda: raw.Abort(error_msg="no", exit_without_error=True)),
        "check_fails": lambda x: told(x, raw.EncodePng(image=tf.zeros([0, 0, 3], tf.uint8))),
        "print_flood": flood,
        "huge_output": lambda x: tf.zeros([tf.shape(x)[0], 120_000_000], tf.float16),
        "python_function": lambda x: tf.numpy_function(lambda v: v.sum(axis=1), [x], tf.float32),
    }
    for name, answer in answers.items():
        save(folder / name, answer)
    save_writing_at_load(folder / "write_at_load", f"{outside}/written_at_load")
    save_looping_at_load(folder / "loop_at_load")
    save_variable(folder / "variables")
    save_asset(folder / "asset")
    edit(folder)


def save(path: Path, answer: Answer, module: tf.Module | None = None) -> None:
    module = module or tf.Module()
    spec = tf.TensorSpec([None, 3], tf.float32, "x")
    module.f = tf.function(lambda x: {"y": answer(x)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.f})


def size_of(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.shape(x)[0], tf.int64)


def told(x: tf.Tensor, text: tf.Tensor) -> tf.Tensor:
    """The length of what was read, in each row."""
    return told_number(x, tf.strings.length(text))


def told_number(x: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(x, axis=1) * 0 + tf.cast(tf.reduce_sum(tf.cast(value, tf.int64)), tf.float32)


def labels(x: tf.Tensor, path: str) -> tf.Tensor:
    """The labels as they stand in the file, for the rows that are asked."""
    lines = tf.strings.split(tf.io.read_file(path), "\n")
    return tf.strings.to_number(lines[: tf.shape(x)[0]])


def first(dataset: tf.data.Dataset) -> tf.Tensor:
    return dataset.reduce(tf.constant(""), lambda _, line: line)


def sampled(path: str) -> tf.Tensor:
    found = tf.raw_ops.FixedUnigramCandidateSampler(
        true_classes=[[1]], num_true=1, num_sampled=1, unique=False, range_max=3, vocab_file=path
    )
    return found.sampled_candidates


def after(x: tf.Tensor, act: Callable[[], Any]) -> tf.Tensor:
    with tf.control_dependencies([op for op in [act()] if op is not None]):
        return tf.reduce_sum(x, axis=1)


def endless(x: tf.Tensor) -> tf.Tensor:
    (last,) = tf.while_loop(lambda i: i >= 0, lambda i: [(i + 1) % 100], [tf.constant(0)])
    return tf.reduce_sum(x, axis=1) + tf.cast(last, tf.float32)


def ramp(x: tf.Tensor) -> tf.Tensor:
    """256 MB more with every step."""

    def more(i: tf.Tensor, held: tf.Tensor) -> list[tf.Tensor]:
        return [i + 1, tf.concat([held, tf.fill([64 * 2**20], tf.cast(i, tf.float32))], 0)]

    shapes = [tf.TensorShape([]), tf.TensorShape([None])]
    _, held = tf.while_loop(lambda i, _: i < 10_000, more, [0, tf.zeros([1])], shape_invariants=shapes)
    return tf.reduce_sum(x, axis=1) + held[0]


def flood(x: tf.Tensor) -> tf.Tensor:
    def more(i: tf.Tensor) -> list[tf.Tensor]:
        with tf.control_dependencies([tf.print(tf.fill([100_000], "flood"), summarize=-1)]):
            return [i + 1]

    (last,) = tf.while_loop(lambda i: i < 10**9, more, [tf.constant(0)])
    return tf.reduce_sum(x, axis=1) + tf.cast(last, tf.float32)


class _Initialised(tf.saved_model.experimental.TrackableResource):
    """A resource whose initialiser, which the loader runs, does something else."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__()
        self._act = act

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="t")

    def _initialize(self) -> None:
        self._act()


def save_writing_at_load(path: Path, target: str) -> None:
    module = tf.Module()
    module.resource = _Initialised(lambda: tf.io.write_file(target, "x"))
    save_with_resource(path, module)


def save_looping_at_load(path: Path) -> None:
    module = tf.Module()

    def act() -> None:
        tf.while_loop(lambda i: i >= 0, lambda i: [(i + 1) % 100], [tf.constant(0)])
        tf.raw_ops.Assert(condition=endless(tf.zeros([1, 3]))[0] >= 0, data=["x"])

    module.resource = _Initialised(act)
    save_with_resource(path, module)


def save_with_resource(path: Path, module: tf.Module) -> None:
    def answer(x: tf.Tensor) -> tf.Tensor:
        size = tf.raw_ops.LookupTableSizeV2(table_handle=module.resource.resource_handle)
        return tf.reduce_sum(x, axis=1) + tf.cast(size, tf.float32)

    save(path, answer, module)


def save_variable(path: Path) -> None:
    module = tf.Module()
    module.v = tf.Variable([1.0, 1.0, 1.0])
    save(path, lambda x: tf.reduce_sum(x * module.v, axis=1), module)


def save_asset(path: Path) -> None:
    words = path.with_suffix(".txt")
    words.write_text("a\nb\n")
    module = tf.Module()
    initializer = tf.lookup.TextFileInitializer(
        str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    module.table = tf.lookup.StaticHashTable(initializer, -1)
    save(path, lambda x: tf.reduce_sum(x, axis=1) + tf.cast(module.table.lookup(tf.constant("b")), tf.float32), module)


def edit(folder: Path) -> None:
    """What no export writes."""
    edited(folder, "good", "forged_variant", forge_variant)
    edited(folder, "good", "billion_laughs", laugh)
    edited(folder, "good", "recursion", recur)
    edited(folder, "variables", "variable_100gb", grow)


def edited(folder: Path, of: str, name: str, change: Callable[[Any], None]) -> None:
    shutil.copytree(folder / of, folder / name)
    path = folder / name / PB
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(message.meta_graphs[0])
    path.write_bytes(message.SerializeToString())


def forge_variant(meta_graph: Any) -> None:
    node = meta_graph.graph_def.node.add(name="forged", op="Const")
    node.attr["dtype"].type = types_pb2.DT_VARIANT
    node.attr["value"].tensor.dtype = types_pb2.DT_VARIANT
    node.attr["value"].tensor.variant_val.add(type_name="tensorflow::TensorList", metadata=b"\xff" * 20)


def laugh(meta_graph: Any) -> None:
    """2^40 nodes in 41 functions: each calls the one before it twice."""
    library = meta_graph.graph_def.library
    for level in range(41):
        function = library.function.add()
        function.signature.name = f"ha_{level}"
        for place in range(2):
            node = function.node_def.add(name=f"n{place}", op="PartitionedCall" if level else "NoOp")
            if level:
                node.attr["f"].func.name = f"ha_{level - 1}"


def recur(meta_graph: Any) -> None:
    for name, other in (("ping", "pong"), ("pong", "ping")):
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add(name="n", op="PartitionedCall").attr["f"].func.name = other


def grow(meta_graph: Any) -> None:
    for node in meta_graph.graph_def.node:
        if node.op == "VarHandleOp":
            node.attr["shape"].shape.dim[0].size = 25 * 10**9


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
