"""Small Keras networks, trained on the spot and exported as SavedModels. Run in a process that may use TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, r2_score

from benchmarks.cases.draft import Draft

Array = npt.NDArray[Any]
BATCH_ROWS = 64
STEPS_AT_ONCE = 8  # between two returns to Python, which take longer than a step of a small network


@dataclass(frozen=True)
class Network:
    """A trained network. `answer` maps (rows, ...) float32 to (rows, outputs), logits where the task has classes."""

    model: Any
    draft: Draft
    history: dict[str, list[float]]
    answer: Callable[[Array], Array]

    def score(self, frame: pd.DataFrame) -> float:
        """R2, or balanced accuracy; an answer that is no number counts as zero."""
        answers = np.nan_to_num(self.answer(inputs_of(self.draft, frame)), posinf=1e12, neginf=-1e12)
        labels = frame["label"].to_numpy()
        if self.draft.world.task == "regression":
            return float(r2_score(labels, np.clip(answers[:, 0], -1e12, 1e12)))
        return float(balanced_accuracy_score(labels, decided(answers)))

    def accuracy(self, frame: pd.DataFrame) -> float:
        return float(np.mean(decided(self.answer(inputs_of(self.draft, frame))) == frame["label"].to_numpy()))

    def export(self, folder: Path) -> None:
        self.model.export(folder, verbose=False)


def decided(answers: Array) -> Array:
    return np.asarray((answers[:, 0] >= 0.5).astype(int) if answers.shape[1] == 1 else answers.argmax(axis=1))


def inputs_of(draft: Draft, frame: pd.DataFrame) -> Array:
    shape = draft.world.image_shape or (len(draft.features),)
    return frame[draft.features].to_numpy("float32").reshape((-1, *shape))


def fit(draft: Draft, seed: int) -> Network:
    import tensorflow as tf  # noqa: PLC0415 - seconds, and only where a network is trained

    tf.config.threading.set_intra_op_parallelism_threads(1)  # sums in one order: the same network every time
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(seed)
    recipe = draft.recipe
    x, y = inputs_of(draft, draft.train), draft.train["label"].to_numpy("float32")
    entry = tf.keras.layers.Input(x.shape[1:], name="features")
    fitted, served, loss = _heads(tf, draft, _body(tf, draft, entry), y)
    model = tf.keras.Model(entry, fitted)
    model.compile(
        tf.keras.optimizers.Adam(recipe.learning_rate),
        loss=loss,
        metrics=_metrics(draft),
        steps_per_execution=STEPS_AT_ONCE,
    )
    if recipe.patience is None:
        x_held = inputs_of(draft, draft.validation)
        held, calls = (x_held, draft.validation["label"].to_numpy("float32")), []
    else:  # healthy training stops early on rows of its own, never on those that are reported
        order = np.random.default_rng(seed).permutation(len(x))
        cut = int(0.87 * len(x))
        held = (x[order[cut:]], y[order[cut:]])
        x, y = x[order[:cut]], y[order[:cut]]
        calls = [tf.keras.callbacks.EarlyStopping(patience=recipe.patience, restore_best_weights=True)]
    ran = model.fit(
        x,
        y,
        validation_data=held,
        epochs=recipe.epochs,
        batch_size=BATCH_ROWS,
        verbose=0,
        callbacks=calls,
        shuffle=recipe.shuffle,
    )
    exported = tf.keras.Model(entry, served)
    history = {name: [float(v) for v in values] for name, values in ran.history.items()}
    return Network(exported, draft, history, lambda rows: np.asarray(exported(rows, training=False)))


def _metrics(draft: Draft) -> list[str]:
    return ["mae"] if draft.world.task == "regression" else ["accuracy"]


def _body(tf: Any, draft: Draft, entry: Any) -> Any:
    layers, recipe, world = tf.keras.layers, draft.recipe, draft.world
    h = entry
    if world.image_shape:
        h = layers.Conv2D(12, 3, activation="relu")(h)
        h = layers.MaxPool2D()(h)
        h = layers.Flatten()(h)
    elif world.categories:
        h = _coded(tf, draft, h)
    for width in recipe.units:
        h = layers.Dense(width, activation="relu", kernel_regularizer=tf.keras.regularizers.l2(recipe.l2))(h)
        h = layers.Dropout(recipe.dropout)(h) if recipe.dropout else h
    return h


def _coded(tf: Any, draft: Draft, h: Any) -> Any:
    """Integer codes become one column a category; a code that was never seen becomes none."""
    ops, names = tf.keras.ops, draft.features
    numbers = [i for i, name in enumerate(names) if name not in draft.world.categories]
    parts = [ops.take(h, numbers, axis=1)]
    for name in draft.world.categories:
        codes = ops.cast(h[:, names.index(name)], "int32")
        parts.append(ops.one_hot(codes, int(draft.world.frame[name].max()) + 1))
    return tf.keras.layers.Concatenate()(parts)


def _heads(tf: Any, draft: Draft, h: Any, y: Array) -> tuple[Any, Any, Any]:
    """(the output that is trained, the output that is served, the loss)."""
    layers, recipe = tf.keras.layers, draft.recipe
    if recipe.head == "softmax_of_one":
        out = layers.Dense(1, activation="softmax")(h)
        return out, out, "binary_crossentropy"
    if recipe.head == "sigmoid_of_value":
        out = layers.Dense(1, activation="sigmoid")(h)
        return out, out, "mse"
    if draft.world.task == "regression":
        mean, spread = float(y.mean()), float(y.std()) or 1.0
        out = layers.Rescaling(spread, mean)(layers.Dense(1)(h))
        return out, out, _in_spreads(tf, spread)
    logits = layers.Dense(1 if draft.world.task == "binary" else draft.world.classes)(h)
    served = layers.Rescaling(recipe.logit_factor, recipe.logit_shift)(logits)
    if draft.world.task == "binary":
        loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
        return logits, layers.Activation("sigmoid", name="probability")(served), loss
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return logits, layers.Activation("softmax", name="probability")(served), loss


def _in_spreads(tf: Any, spread: float) -> Callable[[Any, Any], Any]:
    """Squared error in units of the target's spread, so that one learning rate serves every target."""
    return lambda y, out: tf.reduce_mean(tf.square((tf.reshape(y, [-1, 1]) - out) / spread), axis=-1)
