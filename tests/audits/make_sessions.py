"""Models of TensorFlow 1, of the same task as those of make_every_kind.py: graphs that sessions saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
SOFT = v1.ConfigProto(allow_soft_placement=True)
COLUMNS = ["a", "b", "c"]
Tensor = Any


def make(folder: Path) -> None:
    """Write them below the folder."""
    sessions(folder)
    placed(folder)
    estimators(folder)
    parsers(folder)


def session_model(
    path: Path,
    build: Callable[[], tuple[dict[str, Tensor], dict[str, Tensor]]],
    *,
    tags: tuple[str, ...] = ("serve",),
    key: str = "serving_default",
    initialiser: str | None = None,
) -> None:
    """Written in a session of TensorFlow 1."""
    with tf.Graph().as_default(), v1.Session(config=SOFT) as session:
        inputs, outputs = build()
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(path))
        signature = v1.saved_model.predict_signature_def(inputs, outputs)
        options: dict[str, Any] = {"assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)}
        if initialiser is not None:
            options[initialiser] = v1.tables_initializer()
        builder.add_meta_graph_and_variables(session, list(tags), {key: signature}, **options)
        builder.save()


def variable(name: str = "w", **options: Any) -> Tensor:
    return v1.get_variable(name, initializer=np.full((3, 1), 4.0, np.float32), use_resource=False, **options)


def sessions(folder: Path) -> None:
    def plain() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        with tf.device("/device:GPU:0"):
            return {"x": x}, {"p": tf.sigmoid(x @ variable())}

    session_model(folder / "session", plain)
    session_model(folder / "session_tags", plain, tags=("serve", "gpu"))
    session_model(folder / "session_no_tags", plain, tags=())
    session_model(folder / "session_key", plain, key="my_signature")

    with tf.Graph().as_default(), v1.Session(config=SOFT) as session:
        inputs, outputs = plain()
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def(inputs, outputs)
        builder = v1.saved_model.Builder(str(folder / "session_alike_signatures"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"one": signature, "two": signature})
        builder.save()

    def partitioned() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        with v1.variable_scope("all", partitioner=v1.fixed_size_partitioner(3)):
            w = v1.get_variable("w", [3, 1], initializer=v1.constant_initializer(4.0), use_resource=False)
        return {"x": x}, {"p": tf.sigmoid(x @ tf.convert_to_tensor(w))}

    session_model(folder / "session_partitioned", partitioned)

    def named() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        placeholders = [v1.placeholder(tf.float32, [None], name=name) for name in COLUMNS]
        x = tf.stack(placeholders, axis=1)
        spelled = dict(zip(("A_1", "b:0", "input_c"), placeholders, strict=True))
        return spelled, {"p": tf.sigmoid(x @ variable())}

    session_model(folder / "session_names", named)

    def switches(*, listed: bool, default: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        if default:
            training = v1.placeholder_with_default(False, [], name="training")
            keep = v1.placeholder_with_default(1.0, [], name="keep_prob")
        else:
            training, keep = (
                v1.placeholder(tf.bool, [], name="is_training"),
                v1.placeholder(tf.float32, [], "keep_prob"),
            )
        score = tf.cond(training, lambda: 0 * x, lambda: x / keep) @ variable()
        extra = {"is_training": training, "keep_prob": keep} if listed else {}
        return {"x": x} | extra, {"p": tf.sigmoid(score)}

    session_model(folder / "session_switches", lambda: switches(listed=True, default=False))
    session_model(folder / "session_switches_with_defaults", lambda: switches(listed=True, default=True))
    session_model(folder / "session_forgotten_switches", lambda: switches(listed=False, default=False))
    session_model(folder / "session_defaults", lambda: switches(listed=False, default=True))

    def unfed() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x, z = (v1.placeholder(tf.float32, [None, 3], name=name) for name in ("x", "context"))
        return {"x": x}, {"p": tf.sigmoid((x + z) @ variable())}

    session_model(folder / "session_unfed", unfed)

    def sparse() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x = v1.sparse_placeholder(tf.float32, [None, 3], name="x")
        return {"x": x}, {"p": tf.sigmoid(tf.sparse.sparse_dense_matmul(x, variable()))}

    session_model(folder / "session_sparse", sparse)

    words = folder / "signs.txt"
    words.write_text("minus\nplus\n")

    def table() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(words)))
        path = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)[0]
        reader = tf.lookup.TextFileInitializer(
            path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        sign = v1.placeholder(tf.string, [None], name="sign")
        found = tf.lookup.StaticHashTable(reader, 0).lookup(sign)
        weight = v1.get_variable("w", initializer=8.0, use_resource=False)
        return {"sign": sign}, {"p": tf.sigmoid(weight * (tf.cast(found, tf.float32) - 0.5))}

    session_model(folder / "session_table", table, initialiser="main_op")
    session_model(folder / "session_legacy_table", table, initialiser="legacy_init_op")

    def quantised() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        w = tf.quantization.fake_quant_with_min_max_args(tf.constant(np.full((3, 1), 4.0, np.float32)), -8, 8)
        return {"x": x}, {"p": tf.sigmoid(tf.quantization.fake_quant_with_min_max_args(x, -8, 8) @ w)}

    session_model(folder / "session_frozen", quantised)

    with tf.Graph().as_default(), v1.Session(config=SOFT) as session:
        inputs, outputs = plain()
        session.run(v1.global_variables_initializer())
        signature = {"serving_default": v1.saved_model.predict_signature_def(inputs, outputs)}
        for name, extra in {"two_graphs": "tpu", "two_strange_graphs": "ours"}.items():
            builder = v1.saved_model.Builder(str(folder / name))
            first = ["serve"] if extra == "tpu" else ["theirs"]
            builder.add_meta_graph_and_variables(session, first, signature)
            builder.add_meta_graph([*first, extra] if extra == "tpu" else [extra], signature)
            builder.save()


def placed(folder: Path) -> None:
    """Graphs that were made on other machines, or that are fed in their middle."""

    def from_within() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Fed behind the op that reads its own data."""
        x = tf.reshape(tf.io.decode_csv(v1.placeholder(tf.string, [None], name="line"), [[0.0]]), [-1, 3])
        return {"x": x}, {"p": tf.sigmoid(x @ variable())}

    session_model(folder / "from_within", from_within)

    def on_other_hardware() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        with tf.device("/device:DML:0"):
            return {"x": x}, {"p": tf.sigmoid(x @ tf.constant(np.full((3, 1), 4.0, np.float32)))}

    session_model(folder / "on_other_hardware", on_other_hardware)


def parsed(specs: dict[str, Any], op: Callable[..., Any], serialized: Tensor) -> Tensor:
    features = op(serialized, specs)
    columns = [features[name] for name in COLUMNS]
    columns = [tf.sparse.to_dense(c) if isinstance(c, tf.SparseTensor) else c for c in columns]
    return tf.concat([tf.cast(tf.reshape(c, [-1, 1]), tf.float32) for c in columns], axis=1)


def estimators(folder: Path) -> None:
    """Signatures and outputs as estimators of TensorFlow 1 export them."""
    with tf.Graph().as_default(), v1.Session(config=SOFT) as session:
        examples = v1.placeholder(tf.string, [None], name="input_example_tensor")
        specs = {name: v1.FixedLenFeature([], tf.float32) for name in COLUMNS}
        x = parsed(specs, v1.parse_example, examples)
        logits = x @ variable("linear/w")
        both = tf.concat([0 * logits, logits], axis=1)
        scores = tf.nn.softmax(both)
        names = tf.tile(tf.constant([["0", "1"]]), [tf.shape(logits)[0], 1])
        ids = tf.argmax(both, axis=1)[:, None]
        session.run(v1.global_variables_initializer())
        classify = v1.saved_model.classification_signature_def(examples, names, scores)
        predict = v1.saved_model.predict_signature_def(
            {"examples": examples},
            {
                "logits": logits,
                "logistic": tf.sigmoid(logits),
                "probabilities": scores,
                "class_ids": ids,
                "classes": tf.as_string(ids),
                "all_class_ids": tf.tile([[0, 1]], [tf.shape(ids)[0], 1]),
                "all_classes": names,
            },
        )
        regress = v1.saved_model.regression_signature_def(examples, tf.sigmoid(logits))
        builder = v1.saved_model.Builder(str(folder / "estimator" / "1550000000"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": classify, "classification": classify, "predict": predict, "regression": regress},
        )
        builder.save()


def parsers(folder: Path) -> None:
    def build(specs: dict[str, Any]) -> Callable[[], tuple[dict[str, Tensor], dict[str, Tensor]]]:
        def graph() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            examples = v1.placeholder(tf.string, [None], name="examples")
            return {"examples": examples}, {"p": tf.sigmoid(parsed(specs, v1.parse_example, examples) @ variable())}

        return graph

    several = {
        "a": tf.io.FixedLenFeature([1], tf.float32),
        "b": tf.io.VarLenFeature(tf.float32),
        "c": tf.io.FixedLenFeature([], tf.int64, default_value=0),
        "label": tf.io.FixedLenFeature([], tf.float32),
        "extra": tf.io.FixedLenFeature([2], tf.string, default_value=["", ""]),
    }
    session_model(folder / "parser", build(several))
    unknown = several | {"b": tf.io.FixedLenFeature([], tf.float32)}
    session_model(folder / "parser_missing", build(unknown | {"a": tf.io.FixedLenFeature([3], tf.float32)}))

    weights = tf.Variable(np.full((3, 1), 4.0, np.float32), name="weights")

    def save(name: str, function: Callable[[Tensor], dict[str, Tensor]]) -> None:
        module = tf.Module()
        module.weights = weights
        spec = tf.TensorSpec([None], tf.string, "examples")
        concrete = tf.function(function, input_signature=[spec]).get_concrete_function()
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": concrete})

    plain = {name: tf.io.FixedLenFeature([], tf.float32) for name in COLUMNS}
    save("parser_2", lambda examples: {"p": tf.sigmoid(parsed(several, tf.io.parse_example, examples) @ weights)})

    def one_by_one(examples: Tensor) -> dict[str, Tensor]:
        def one(message: Tensor) -> Tensor:
            features = tf.io.parse_single_example(message, plain)
            return tf.stack([features[name] for name in COLUMNS])

        rows = tf.map_fn(one, examples, fn_output_signature=tf.TensorSpec([3], tf.float32))
        return {"p": tf.sigmoid(rows @ weights)}

    save("parser_single", one_by_one)
