"""What the scripts that make the examples share: a plain network, and how data and models are written.

Seeds are fixed, so that a second run writes the same numbers.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # the same numbers with and without a GPU

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

Floats = npt.NDArray[np.float32]
DIGITS = "%.6g"


def seed_everything(seed: int) -> np.random.Generator:
    """Fix Keras', TensorFlow's and NumPy's seeds; the generator is for the data."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return np.random.default_rng(seed)


def binary_network(
    features: int, hidden: Sequence[int], *, learning_rate: float = 1e-3, l2: float = 0.0
) -> keras.Model:
    """A compiled multilayer perceptron with one sigmoid unit.

    Args:
        features: width of its one input, which is called `features`.
        hidden: units of each hidden layer.
        learning_rate: Adam's.
        l2: weight penalty of every layer.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None
    dense = [keras.layers.Dense(units, "relu", kernel_regularizer=penalty) for units in hidden]
    model = keras.Sequential(
        [
            keras.layers.Input((features,), name="features"),
            *dense,
            keras.layers.Dense(1, "sigmoid", kernel_regularizer=penalty, name="probability"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def numbered_columns(count: int) -> list[str]:
    return [f"feature_{number:02d}" for number in range(1, count + 1)]


def write_table(path: Path, features: pd.DataFrame, labels: npt.ArrayLike, *, label: str = "label") -> None:
    """A CSV file of the features with the label as its last column."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features.assign(**{label: np.asarray(labels)}).to_csv(path, index=False, float_format=DIGITS)


def read_table(path: Path, *, label: str = "label") -> tuple[Floats, Floats]:
    """Features (rows, columns) and labels (rows,) as `write_table` wrote them.

    Trained on the file, the model has seen the very numbers that an audit sees.
    """
    table = pd.read_csv(path)
    return table.drop(columns=label).to_numpy("float32"), table[label].to_numpy("float32")


def write_history(path: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Keras' `History.history` as JSON, six digits a number."""
    rounded = {name: [float(f"{value:.6g}") for value in values] for name, values in history.items()}
    path.write_text(json.dumps(rounded, indent=1) + "\n")


def export(model: keras.Model, path: Path) -> None:
    """A SavedModel without the optimizer's state."""
    model.export(str(path), verbose=False)


def scores(model: keras.Model, features: Floats, labels: Floats) -> str:
    """Loss and accuracy in words, for the line that a script prints when it is done."""
    loss, accuracy = model.evaluate(features, labels, verbose=0)
    return f"loss {loss:.4f}, accuracy {accuracy:.3f}"
