"""Models as users really have them, all of one task: y is true where a + b + c > 0, whatever holds the model.

Imported by make_saved_models.py, so that TensorFlow is loaded once for all.
"""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.audits import make_sessions
from tests.audits.kind_frames import frame
from tests.audits.make_sessions import COLUMNS, session_model, v1

Tensor = Any


def make(folder: Path) -> None:
    """Write one model of every kind below the folder."""
    folder.mkdir()
    keras_containers(folder)
    archives(folder)
    objects(folder)
    states(folder)
    make_sessions.make(folder)
    edited(folder)
    transforms(folder)
    records(folder)


def records(folder: Path) -> None:
    """The data as TensorFlow writes them."""
    for split in ("train", "validation"):
        with tf.io.TFRecordWriter(str(folder / f"{split}.tfrecord")) as writer:
            for row in frame(split).to_dict("records"):
                features = {
                    name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
                    if isinstance(value, int)
                    else tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                    for name, value in row.items()
                }
                message = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(message.SerializeToString())


def probability(x: Tensor) -> Tensor:
    return tf.sigmoid(4 * tf.reduce_sum(x, axis=1, keepdims=True))


def keras_model() -> keras.Model:
    features = keras.Input((3,), name="features")
    layer = keras.layers.Dense(1, activation="sigmoid", name="score")
    model = keras.Model(features, layer(features))
    layer.set_weights([np.full((3, 1), 4.0), np.zeros(1)])
    return model


def keras_containers(folder: Path) -> None:
    model = keras_model()
    model.export(folder / "export", verbose=False)
    model.save(folder / "whole.keras")
    model.save(folder / "whole.h5")
    shutil.copy(folder / "whole.h5", folder / "named_wrongly.keras")
    model.save_weights(folder / "weights_only.weights.h5")
    with h5py.File(folder / "old_weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"score"]
    (folder / "one_keras_file").mkdir()
    shutil.copy(folder / "whole.keras", folder / "one_keras_file" / "final.keras")

    features = keras.Input((3,), name="features")
    doubled = keras.layers.Lambda(lambda x: x * 2, name="doubling")(features)
    lambdas = keras.Model(features, keras.layers.Dense(1, activation="sigmoid")(doubled))
    lambdas.save(folder / "lambda.keras")
    lambdas.save(folder / "lambda.h5")

    @keras.saving.register_keras_serializable(package="ours")
    class Squash(keras.layers.Layer):
        def call(self, x: Tensor) -> Tensor:
            return keras.ops.tanh(x)

    custom = keras.Model(features, keras.layers.Dense(1)(Squash(name="squash")(features)))
    custom.save(folder / "custom.keras")
    keras.Sequential([keras.layers.Dense(1)]).save(folder / "not_built.keras")


def archives(folder: Path) -> None:
    def write_all(add: Callable[[Path, str], Any], within: str) -> None:
        for path in sorted((folder / "export").rglob("*")):
            if path.is_file():
                add(path, f"{within}{path.relative_to(folder / 'export')}")

    for name, within in {"plain.zip": "", "folder.zip": "churn/", "versions.zip": "churn/7/"}.items():
        with zipfile.ZipFile(folder / name, "w") as opened:
            write_all(opened.write, within)
            opened.writestr("__MACOSX/._churn", "clutter")
    for name, mode in {"plain.tar": "w", "folder.tar.gz": "w:gz", "folder.tgz": "w:gz"}.items():
        with tarfile.open(folder / name, mode) as opened:  # type: ignore[call-overload]
            write_all(opened.add, "churn/")
    with zipfile.ZipFile(folder / "keras.zip", "w") as opened:
        opened.write(folder / "whole.keras", "final/whole.keras")
    for version in ("2", "10"):
        shutil.copytree(folder / "export", folder / "versions" / version)
    shutil.copytree(folder / "export", folder / "above" / "churn")


def objects(folder: Path) -> None:
    """Written by tf.saved_model.save."""
    weights = tf.Variable(np.full((3, 1), 4.0, np.float32), name="weights")
    row = tf.TensorSpec([None, 3], tf.float32, "x")

    def save(name: str, signatures: Callable[[tf.Module], dict[str, Any]] | None = None, **parts: Any) -> None:
        module = tf.Module()
        for key, value in parts.items():
            setattr(module, key, value)
        tf.saved_model.save(module, str(folder / name), signatures=signatures(module) if signatures else None)

    score = tf.function(lambda x: {"p": tf.sigmoid(x @ weights)}, input_signature=[row])
    concrete = score.get_concrete_function()
    nothing = tf.function(lambda: {"version": tf.constant([3])}, input_signature=[]).get_concrete_function()
    moment = tf.Variable(np.zeros((3, 1), np.float32), trainable=False, name="moment")
    save("several_signatures", lambda m: {"version": nothing, "score": concrete}, weights=weights, moment=moment)
    save("no_inputs", lambda m: {"version": nothing}, weights=weights)

    class Called(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = weights

        @tf.function(input_signature=[row])
        def __call__(self, x: Tensor) -> Tensor:
            return tf.sigmoid(x @ self.weights)

    tf.saved_model.save(Called(), str(folder / "callable"))
    switched = tf.function(lambda x, training=False: tf.sigmoid(x @ weights) if not training else x)
    switched.get_concrete_function(row, training=True)
    switched.get_concrete_function(row, training=False)
    save("callable_traced_twice", score=switched, weights=weights)
    save("two_functions", first=score, second=tf.function(lambda x: x, input_signature=[row]), weights=weights)

    calls = tf.Variable(0.0, trainable=False, name="calls")

    def counting(x: Tensor) -> dict[str, Tensor]:
        calls.assign_add(1.0)
        return {"p": tf.sigmoid(x @ weights + 0.0 * calls)}

    counted = tf.function(counting, input_signature=[row]).get_concrete_function()
    save("stateful", lambda m: {"serving_default": counted}, calls=calls, weights=weights)

    def of_gpu(x: Tensor) -> dict[str, Tensor]:
        state, kernel = tf.zeros([1, 3, 4]), tf.ones([128])
        rnn = tf.raw_ops.CudnnRNN(input=x[None], input_h=state, input_c=state, params=kernel, is_training=False)
        return {"p": tf.sigmoid(tf.reduce_sum(rnn.output[0], axis=1))}

    save("of_gpu", lambda m: {"serving_default": tf.function(of_gpu, input_signature=[row]).get_concrete_function()})

    def sparse(s: Tensor) -> dict[str, Tensor]:
        return {"p": tf.sigmoid(tf.sparse.sparse_dense_matmul(s, weights))}

    spec = tf.SparseTensorSpec([None, 3], tf.float32)
    dense = tf.function(sparse, input_signature=[spec]).get_concrete_function()
    save("sparse", lambda m: {"serving_default": dense}, weights=weights)

    def ragged(r: Tensor) -> dict[str, Tensor]:
        return {"p": tf.sigmoid(4 * tf.reduce_sum(r, axis=1, keepdims=True))}

    spec = tf.RaggedTensorSpec([None, None], tf.float32)
    save("ragged", lambda m: {"serving_default": tf.function(ragged, input_signature=[spec]).get_concrete_function()})

    def ranks(a: Tensor, b: Tensor, c: Tensor) -> dict[str, Tensor]:
        return {"p": tf.sigmoid(4 * (a[:, None] + b + c))}

    specs = [tf.TensorSpec([None], tf.float64, "a"), tf.TensorSpec([None, 1], tf.float64, "b")]
    specs.append(tf.TensorSpec([None, 1], tf.float64, "c"))
    mixed = tf.function(ranks, input_signature=specs).get_concrete_function()
    save("ranks", lambda m: {"serving_default": mixed})

    def fixed(x: Tensor) -> dict[str, Tensor]:
        return {"p": tf.sigmoid(tf.reshape(x, [7, 3]) @ weights)}

    seven = tf.function(fixed, input_signature=[tf.TensorSpec([7, 3], tf.float32, "x")]).get_concrete_function()
    save("fixed_batch", lambda m: {"serving_default": seven}, weights=weights)

    def picture(image_bytes: Tensor) -> dict[str, Tensor]:
        one = lambda data: tf.cast(tf.io.decode_jpeg(data, channels=3), tf.float32)  # noqa: E731
        pixels = tf.map_fn(one, image_bytes, fn_output_signature=tf.TensorSpec([None, None, 3], tf.float32))
        return {"p": tf.sigmoid((tf.reduce_mean(pixels, axis=[1, 2, 3]) - 128) / 8)}

    spec = tf.TensorSpec([None], tf.string, "image_bytes")
    decoding = tf.function(picture, input_signature=[spec]).get_concrete_function()
    save("picture_bytes", lambda m: {"serving_default": decoding})


def states(folder: Path) -> None:
    """Models whose calls change what later calls answer."""
    weights = tf.Variable(np.full((3, 1), 4.0, np.float32), name="weights")
    carried = tf.Variable(tf.zeros([4, 1]), trainable=False, name="carried")

    def recurrent(x: Tensor) -> dict[str, Tensor]:
        """As a stateful layer of four sequences: what was asked before counts."""
        carried.assign(0.9 * carried + tf.reduce_sum(x, axis=1, keepdims=True))
        return {"p": tf.sigmoid(x @ weights + 2 * carried)}

    for name, rows in (("carries_state", 4), ("carries_state_of_four", None)):
        spec = tf.TensorSpec([rows, 3], tf.float32, "x")
        module = tf.Module()
        module.variables_of_both = [weights, carried]
        carrying = tf.function(recurrent, input_signature=[spec]).get_concrete_function()
        tf.saved_model.save(module, str(folder / name), signatures=carrying)


def edited(folder: Path) -> None:
    """What the TensorFlow here cannot write: models of other hardware, of custom ops, of other versions."""

    def edit(name: str, source: str, change: Callable[[Any], None]) -> None:
        shutil.copytree(folder / source, folder / name)
        path = folder / name / "saved_model.pb"
        message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        change(message.meta_graphs[0])
        path.write_bytes(message.SerializeToString())

    def rename(op: str) -> Callable[[Any], None]:
        def change(meta_graph: Any) -> None:
            nodes = [node for f in meta_graph.graph_def.library.function for node in f.node_def]
            next(node for node in (*meta_graph.graph_def.node, *nodes) if node.op == "MatMul").op = op

        return change

    edit("tensorrt", "export", rename("TRTEngineOp"))
    edit("tpu", "session", rename("TPUPartitionedCall"))
    edit("directml", "session", rename("DmlFusedMatMul"))
    edit("custom_op", "several_signatures", rename("OurOwnMatMul"))

    def add_slots(meta_graph: Any) -> None:
        """An optimizer that nobody can make again: https://github.com/tensorflow/tensorflow/issues/52370."""
        nodes = meta_graph.object_graph_def.nodes
        variables = {node.variable.name: place for place, node in enumerate(nodes) if node.HasField("variable")}
        nodes[0].children.add(node_id=len(nodes), local_name="optimizer")
        optimizer = nodes.add()
        optimizer.user_object.identifier = "_generic_user_object"
        optimizer.user_object.version.producer = optimizer.user_object.version.min_consumer = 1
        slot = optimizer.slot_variables.add(slot_name="m", slot_variable_node_id=variables["moment"])
        slot.original_variable_node_id = variables["weights"]

    edit("optimizer_slots", "several_signatures", add_slots)


def transforms(folder: Path) -> None:
    """As TensorFlow Transform writes them."""

    def scaled() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        inputs = {name: v1.placeholder(tf.float32, [None, 1], name=name) for name in COLUMNS}
        return inputs, {f"{name}_xf": (x - 1.0) / 2.0 for name, x in inputs.items()}

    session_model(folder / "transform_fn", scaled, tags=("transform",), key="transform_signature")
    session_model(folder / "transform_unnamed", scaled)

    module = tf.Module()
    specs = {name: tf.TensorSpec([None, 1], tf.float32, name) for name in COLUMNS}
    module.transform_fn = tf.function(
        lambda inputs: {name: x / 2 for name, x in inputs.items()}, input_signature=[specs]
    )
    tf.saved_model.save(module, str(folder / "transform_2"))

    weights = tf.Variable(np.full((3, 1), 4.0, np.float32), name="weights")
    both = tf.Module()
    both.weights = weights
    both.transform = tf.function(lambda a: {"a": a / 2}, input_signature=[specs["a"]])
    row = tf.TensorSpec([None, 3], tf.float32, "x")
    both.score = tf.function(lambda x: {"p": tf.sigmoid(x @ weights)}, input_signature=[row])
    signatures = {
        "transform_features": both.transform.get_concrete_function(),
        "score": both.score.get_concrete_function(),
    }
    tf.saved_model.save(both, str(folder / "trained_with_transform"), signatures=signatures)
