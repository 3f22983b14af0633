"""Write one SavedModel of every kind that the tests need: python -m tests.audits.make_saved_models FOLDER."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tensorflow as tf

from tests.audits import make_every_kind, make_output_models

FOLDER = Path(sys.argv[1])


def spec(*shape: int | None, dtype: tf.DType = tf.float32, name: str = "x") -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


def save(name: str, function, *specs: tf.TensorSpec, signature: str = "serving_default", **variables) -> None:
    """A tf.Module with one signature."""
    module = tf.Module()
    for key, value in variables.items():
        setattr(module, key, value)
    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    tf.saved_model.save(module, str(FOLDER / name), signatures={signature: concrete})


def keras_models() -> None:
    features = keras.Input((4,), name="features")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, activation="relu")(features))
    sigmoid = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")(hidden)
    keras.Model(features, sigmoid).export(FOLDER / "keras_sigmoid", verbose=False)
    logits = keras.layers.Dense(3, kernel_initializer="ones")(hidden)
    keras.Model(features, logits).export(FOLDER / "keras_logits", verbose=False)
    keras.Model(features, keras.layers.Softmax()(logits)).export(FOLDER / "keras_softmax", verbose=False)
    keras.Model(features, sigmoid).save(FOLDER / "whole.keras")


def keras_named_inputs() -> None:
    """The score is 1 for Paris, 2 for Rome, 0 for every other city, plus a tenth of the age."""
    city, age = keras.Input((1,), name="city", dtype="string"), keras.Input((1,), name="age")
    code = keras.layers.StringLookup(vocabulary=["Paris", "Rome"])(city)
    score = keras.ops.cast(code, "float32") + age / 10
    keras.Model({"city": city, "age": age}, score).export(FOLDER / "named", verbose=False)


def models_with_statistics() -> None:
    """Layers that hold something of the data: mean 1, 10, 100 and deviation 2, 20, 200 in three columns."""
    layers = keras.layers
    statistics = {"mean": [1.0, 10.0, 100.0], "variance": [4.0, 400.0, 40_000.0]}
    features = keras.Input((3,), name="features")
    normalised = layers.Normalization(name="scaler", **statistics)(features)
    keras.Model(features, layers.Dense(60)(layers.Dense(60)(normalised))).export(FOLDER / "normalised", verbose=False)

    norm = layers.BatchNormalization(epsilon=1e-9)
    model = keras.Sequential([keras.Input((3,), name="features"), norm, layers.Dense(1), layers.BatchNormalization()])
    half = np.full(3, 0.5, np.float32)
    norm.set_weights([half, half, np.array(statistics["mean"]), np.array(statistics["variance"])])
    model.export(FOLDER / "batch_normalised", verbose=False)

    columns = {name: keras.Input((1,), name=name) for name in "abc"}
    joined = layers.Concatenate()([columns["c"], columns["a"]])
    scaled = layers.Normalization(mean=[7.0, 8.0], variance=[1.0, 4.0])(joined)
    alone = layers.Normalization(axis=None, mean=9.0, variance=9.0)(columns["b"])
    score = layers.Dense(1)(layers.Concatenate()([scaled, alone]))
    keras.Model(columns, score).export(FOLDER / "normalised_columns", verbose=False)

    image = keras.Input((4, 4, 3), name="image")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(layers.Rescaling(1 / 127.5, -1)(image)))
    keras.Model(image, layers.Dense(2)(pooled)).export(FOLDER / "rescaled", verbose=False)

    texts = {name: keras.Input((1,), name=name, dtype="string") for name in ("city", "note")}
    numbers = {"shop": keras.Input((1,), name="shop", dtype="int64"), "age": keras.Input((1,), name="age")}
    words = layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=3)(texts["note"])
    city = layers.StringLookup(vocabulary=["Paris", "Rome"])(texts["city"])
    shop = layers.IntegerLookup(vocabulary=[3, 5], output_mode="one_hot")(numbers["shop"])
    parts = [
        layers.Flatten()(layers.Embedding(3, 2, name="of_city")(city)),
        layers.Flatten()(layers.Embedding(9, 4, name="of_shop")(numbers["shop"])),
        layers.Flatten()(layers.Embedding(4, 2, name="of_note")(words)),
        layers.Discretization(bin_boundaries=[18.0, 65.0], output_mode="one_hot")(numbers["age"]),
        shop,
    ]
    inputs = texts | numbers
    keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(parts))).export(FOLDER / "lookups", verbose=False)

    def by_hand(x):
        return {"y": ((x[:, 1:] - mean) / deviation) @ tf.ones((2, 1)) + x[:, :1] * 0.5}

    mean, deviation = tf.Variable([5.0, 6.0]), tf.Variable([2.0, 3.0])
    save("by_hand", by_hand, spec(None, 3), mean=mean, deviation=deviation)

    lines = FOLDER / "colours.txt"
    lines.write_text("red\ngreen\n")
    reader = tf.lookup.TextFileInitializer(
        str(lines), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    table = tf.lookup.StaticHashTable(reader, -1)
    rows = tf.Variable(np.ones((7, 3), np.float32))

    def look_up(colour, number):
        vectors = tf.nn.embedding_lookup(rows, tf.cast(number, tf.int32))
        return {"y": tf.cast(table.lookup(colour), tf.float32) + tf.reduce_sum(vectors, axis=[1, 2])[:, None]}

    given = spec(None, 1, dtype=tf.string, name="colour"), spec(None, 1, name="number")
    save("asset", look_up, *given, table=table, rows=rows)

    names = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, "?")
    names.insert(tf.constant([2, 0, 1], tf.int64), tf.constant(["bee", "ant", "cat"]))

    def name_of(x):
        return {"name": names.lookup(tf.cast(x[:, 0], tf.int64))}

    save("restored_table", name_of, spec(None, 1), names=names)


def looked_up() -> None:
    """Scores of categories, words and ids that the tests know; see `tests/audits/test_looked_up.py`."""
    layers = keras.layers

    def scores(values: list[float]) -> layers.Layer:
        return layers.Embedding(len(values), 1, weights=[np.array(values, np.float32)[:, None]])

    city, note = keras.Input((1,), name="city", dtype="string"), keras.Input((1,), name="note", dtype="string")
    plan, size = keras.Input((1,), name="plan", dtype="int64"), keras.Input((1,), name="size")
    by_city = scores([0.0, -3.0, 0.0, 3.0])(layers.StringLookup(vocabulary=["Rome", "Oslo", "Lima"])(city))
    by_plan = scores([0.0, -3.0, -1.0, 1.0, 3.0])(layers.IntegerLookup(vocabulary=[10, 11, 12, 13])(plan))
    words = layers.TextVectorization(vocabulary=["bad", "poor", "good", "fine"], output_sequence_length=4)(note)
    by_word = layers.Lambda(lambda x: tf.reduce_sum(x, axis=1))(scores([0.0, 0.0, -1.0, -1.0, 1.0, 1.0])(words))
    flat = [layers.Flatten()(x) for x in (by_city, by_plan, by_word)]
    answer = layers.Activation("sigmoid")(layers.Add()([*flat, size]))
    keras.Model({"city": city, "plan": plan, "note": note, "size": size}, answer).export(
        FOLDER / "looked_up", verbose=False
    )

    shop = keras.Input((1,), name="shop", dtype="int32")
    by_shop = layers.Flatten()(scores([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])(shop))
    answer = layers.Activation("sigmoid")(layers.Add()([by_shop, size]))
    keras.Model({"shop": shop, "size": size}, answer).export(FOLDER / "embedded", verbose=False)

    tokens = keras.Input((12,), name="tokens", dtype="int32")
    weights = np.random.default_rng(0).normal(size=40).tolist()
    total = layers.Lambda(lambda x: tf.reduce_sum(x, axis=1))(scores([0.0, *weights[1:]])(tokens))
    keras.Model(tokens, layers.Activation("sigmoid")(total)).export(FOLDER / "tokens", verbose=False)

    # a plain lookup, which refuses negative ids, where Keras counts them from the end
    table = tf.Variable(np.array([-3.0, -1.0, 1.0, 3.0], np.float32)[:, None])

    def plain(x):
        return {"p": tf.sigmoid(tf.gather(table, tf.cast(x[:, 0], tf.int32))[:, 0] + x[:, 1])}

    save("gathered", plain, spec(None, 2), table=table)


def modules() -> None:
    weights = tf.Variable(np.ones((3, 1), np.float32), name="weights")
    frozen = tf.Variable(np.ones((7, 7), np.float32), trainable=False, name="frozen")

    def score(x):
        p = tf.cast(tf.reshape(tf.sigmoid(x @ weights + tf.reduce_sum(frozen) * 0), [-1]), tf.float64)
        return {"p": p}

    save("module", score, spec(None, 3), signature="score", weights=weights, frozen=frozen)
    save("sum", lambda x: {"sum": tf.reduce_sum(x, axis=1)}, spec(None, 3))
    save("fixed_batch", lambda x: {"sum": tf.reduce_sum(tf.reshape(x, [4, 3]), axis=1)}, spec(4, 3))
    save("image", lambda x: {"mean": tf.reduce_mean(x, axis=[1, 2, 3])}, spec(None, 4, 4, 1))
    # how much brighter the right half is, for grey levels from 0 to 255
    sides = tf.constant([-1.0] * 4 + [1.0] * 4)[None, None, :, None]
    save("right_half", lambda x: {"p": tf.sigmoid(tf.reduce_mean(x * sides, axis=[1, 2, 3]))}, spec(None, 8, 8, 3))
    save("counts", lambda x: {"twice": 2 * x}, spec(None, dtype=tf.int64))
    save("bytes", lambda x: {"half": tf.cast(x, tf.bfloat16) / 2}, spec(None, 2, dtype=tf.uint8))
    save("text", lambda x: {"shout": tf.strings.upper(x, encoding="utf-8")}, spec(None, dtype=tf.string))
    save("lengths", lambda x: {"bytes": tf.strings.length(x)}, spec(None, dtype=tf.string))
    save("one_number", lambda x: {"mean": tf.reduce_mean(x)}, spec(None, 3))
    save("sum_and_mean", lambda x: {"sum": tf.reduce_sum(x, axis=1), "mean": tf.reduce_mean(x)}, spec(None, 3))
    save("complex", lambda x: {"c": tf.complex(x, x)}, spec(None, 3))
    save("no_outputs_named", lambda x: x + 1, spec(None, 3))

    def refuse(x):
        with tf.control_dependencies([tf.Assert(tf.reduce_max(x) < 100, ["read /etc/secret and", x])]):
            return {"x": tf.identity(x)}

    save("refusing", refuse, spec(None, 3))

    def die(x, *, quietly: bool):
        with tf.control_dependencies([tf.raw_ops.Abort(error_msg="x", exit_without_error=quietly)]):
            return {"x": tf.identity(x)}

    save("aborting", lambda x: die(x, quietly=False), spec(None, 3))
    save("leaving", lambda x: die(x, quietly=True), spec(None, 3))
    save("endless", lambda x: {"x": tf.while_loop(lambda x: True, lambda x: (x + 1,), [x])[0]}, spec(None, 3))
    tf.saved_model.save(tf.Module(), str(FOLDER / "no_signature"))

    both = tf.Module()
    plus = tf.function(lambda x: {"y": x + 1}, input_signature=[spec(None, 3)]).get_concrete_function()
    minus = tf.function(lambda x: {"y": x - 1}, input_signature=[spec(None, 3)]).get_concrete_function()
    tf.saved_model.save(both, str(FOLDER / "two_signatures"), signatures={"plus": plus, "minus": minus})


def version_1() -> None:
    """Written in a session, with the tags serve and gpu."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        w = v1.get_variable("w", initializer=np.eye(2, dtype=np.float32), use_resource=False)
        y = tf.nn.softmax(x @ w, name="y")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(FOLDER / "version_1"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve", "gpu"], {"serving_default": signature})
        builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        centre = v1.get_variable("centre", initializer=np.array([3.0, 4.0], np.float32), use_resource=False)
        y = tf.reduce_sum((x - centre) / [5.0, 6.0], axis=1, name="y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(FOLDER / "version_1_scaled"), {"x": x}, {"y": y})


keras_models()
keras_named_inputs()
models_with_statistics()
looked_up()
modules()
version_1()
make_every_kind.make(FOLDER / "every_kind")
make_output_models.write(FOLDER / "outputs")
