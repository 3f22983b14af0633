"""SavedModels with outputs of every kind, for the labels of `output_worlds`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.audits import output_worlds as worlds

X = tf.TensorSpec((None, 4), tf.float32, name="x")


def constant(values: Any) -> tf.Tensor:
    return tf.constant(np.asarray(values), tf.float32)


def evidence(x: tf.Tensor) -> tf.Tensor:
    """(rows, 1) log-odds of the second of two classes."""
    return x @ constant(worlds.OF_BINARY[:, None])


def class_logits(x: tf.Tensor) -> tf.Tensor:
    return x @ constant(worlds.OF_CLASSES)


def quantity(x: tf.Tensor) -> tf.Tensor:
    return x @ constant(worlds.OF_QUANTITY[:, None]) + 10.0


def cumulative(x: tf.Tensor) -> tf.Tensor:
    return x @ constant(worlds.OF_ORDER[:, None]) - constant(worlds.CUTS)


def linear(target: np.ndarray) -> Callable[[tf.Tensor], tf.Tensor]:
    """What least squares on the training rows give."""
    weights = worlds.least_squares(target)
    return lambda x: tf.nn.bias_add(x @ constant(weights[:-1]), constant(weights[-1]))


def names(ids: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.constant(["ant", "cat", "bee"]), ids)


def estimator(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """As a DNNClassifier with a vocabulary of labels exports it."""
    logits = evidence(x)
    both = tf.concat([tf.zeros_like(logits), logits], axis=-1)
    rows, ids = tf.shape(x)[0], tf.argmax(both, axis=-1)[:, None]
    classes = tf.constant(["stays", "churns"])
    return {
        "logits": logits,
        "logistic": tf.sigmoid(logits),
        "probabilities": tf.nn.softmax(both),
        "class_ids": ids,
        "classes": tf.gather(classes, ids),
        "all_class_ids": tf.tile([[0, 1]], [rows, 1]),
        "all_classes": tf.tile(classes[None], [rows, 1]),
    }


def classify(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """The signature of an estimator that tf.Example classification serves."""
    found = estimator(x)
    return {"classes": found["all_classes"], "scores": found["probabilities"]}


def by_step(x: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.nn.softmax(class_logits(x) * by) for by in (0.1, 0.3, 1.0)], axis=1)


LEAST_SQUARES = linear(worlds.TRAIN.binary)
SHARES_BY_LEAST_SQUARES = linear(np.eye(3)[worlds.TRAIN.classes])
MARGIN = linear(2 * worlds.TRAIN.binary - 1)
Q = np.array([-1.28, 0.0, 1.28])

MODULES: dict[str, Callable[[tf.Tensor], Any]] = {
    "sigmoid_flat": lambda x: tf.reshape(tf.sigmoid(evidence(x)), [-1]),
    "sigmoid_of_rank_3": lambda x: tf.sigmoid(evidence(x))[:, :, None],
    "pair_by_hand": lambda x: tf.concat([1 - tf.sigmoid(evidence(x)), tf.sigmoid(evidence(x))], axis=1),
    "softmax_of_rank_3": lambda x: tf.nn.softmax(class_logits(x))[:, :, None],
    "logits_flat": lambda x: evidence(x)[:, 0],
    "log_softmax": lambda x: tf.nn.log_softmax(class_logits(x)),
    "logits_double": lambda x: tf.cast(class_logits(x), tf.float64),
    "half_precision": lambda x: tf.cast(tf.nn.softmax(class_logits(x)), tf.float16),
    "ensemble": lambda x: (tf.sigmoid(evidence(x)) + tf.sigmoid(0.9 * evidence(x))) / 2,
    "ids": lambda x: tf.argmax(class_logits(x), axis=-1),
    "ids_column": lambda x: tf.argmax(class_logits(x), axis=-1, output_type=tf.int32)[:, None],
    "ids_float": lambda x: tf.cast(tf.argmax(class_logits(x), axis=-1), tf.float32),
    "ids_from_1": lambda x: tf.argmax(class_logits(x), axis=-1) + 1,
    "is_positive": lambda x: evidence(x) > 0,
    "sign": lambda x: tf.sign(evidence(x)),
    "names": lambda x: names(tf.argmax(class_logits(x), axis=-1)),
    "one_hot": lambda x: tf.one_hot(tf.argmax(class_logits(x), axis=-1), 3),
    "cumulative": lambda x: tf.sigmoid(cumulative(x)),
    "cumulative_logits": cumulative,
    "tanh": lambda x: tf.tanh(evidence(x) / 2),
    "least_squares": LEAST_SQUARES,
    "shares_by_least_squares": SHARES_BY_LEAST_SQUARES,
    "margin_by_least_squares": MARGIN,
    "quantity": quantity,
    "quantiles": lambda x: quantity(x) + constant(Q),
    "mean_and_variance": lambda x: tf.concat([quantity(x), tf.exp(0.1 * x[:, 3:])], axis=1),
    "quantities": lambda x: tf.concat([x @ constant(worlds.OF_OTHER[:, None]) + 3.0, quantity(x)], axis=1),
    "labels": lambda x: tf.sigmoid(x @ constant(worlds.OF_LABELS)),
    "by_step": by_step,
    "estimator": estimator,
    "classify": classify,
    "tasks": lambda x: {
        "age": quantity(x),
        "churn": tf.sigmoid(evidence(x)),
        "segment": tf.nn.softmax(class_logits(x)),
        "embedding": tf.tile(x, [1, 8]),
    },
    "loc_and_scale": lambda x: {"loc": quantity(x), "scale": tf.exp(0.1 * x[:, 3:])},
    "quantile_heads": lambda x: {f"q{q}": quantity(x) + by for q, by in (("10", -1.28), ("50", 0.0), ("90", 1.28))},
    "class_and_score": lambda x: {
        "label": tf.argmax(class_logits(x), axis=-1),
        "confidence": tf.reduce_max(tf.nn.softmax(class_logits(x)), axis=-1),
    },
}


def write(folder: Path) -> None:
    for name, function in MODULES.items():
        module = tf.Module()
        module.weight = tf.Variable(1.0)  # a model has variables; this one is read by no output

        def answer(x: tf.Tensor, function: Callable = function) -> dict[str, tf.Tensor]:
            answered = function(x)
            return answered if isinstance(answered, dict) else {"output": answered}

        concrete = tf.function(answer, input_signature=[X]).get_concrete_function()
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": concrete})
    keras_models(folder)


def keras_models(folder: Path) -> None:
    layers = keras.layers
    features = keras.Input((4,), name="features")

    def dense(weights: np.ndarray, activation: str | None, offset: float = 0.0) -> keras.KerasTensor:
        layer = layers.Dense(weights.shape[1], activation=activation)
        scores = layer(features)
        layer.set_weights([weights.astype(np.float32), np.full(weights.shape[1], offset, np.float32)])
        return scores

    binary, classes = worlds.OF_BINARY[:, None], worlds.OF_CLASSES
    sigmoid, shares = dense(binary, "sigmoid"), dense(classes, "softmax")
    value = dense(worlds.OF_QUANTITY[:, None], None, 10.0)
    built = {
        "keras_sigmoid": sigmoid,
        "keras_logit": dense(binary, None),
        "keras_pair": dense(np.concatenate([0 * binary, binary], axis=1), "softmax"),
        "keras_softmax": shares,
        "keras_logits": dense(classes, None),
        "keras_sigmoids": dense(classes, "sigmoid"),
        "keras_value": layers.Reshape((1, 1))(value),
        "keras_tasks": {"age": value, "churn": sigmoid, "segment": shares},
        "keras_unnamed_tasks": [value, sigmoid],
        "keras_names": layers.StringLookup(vocabulary=["ant", "cat", "bee"], invert=True)(
            keras.ops.argmax(shares, axis=-1) + 1
        ),
    }
    for name, outputs in built.items():
        keras.Model(features, outputs).export(folder / name, verbose=False)
