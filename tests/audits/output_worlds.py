"""A small world whose labels of every kind follow known odds, and the models that know them: numpy alone."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from audits.artefacts import Array

N_TRAIN, N_VALIDATION = 300, 200
OF_BINARY = np.array([2.5, -2.0, 1.0, 0.0])
OF_CLASSES = 1.7 * np.array([[1, 0, -1], [-1, 1, 0], [0, -1, 1], [0.5, 0, -0.5]])
OF_QUANTITY = np.array([3.0, 2.0, -1.0, 0.0])
OF_OTHER = np.array([0.0, 0.0, 1.0, 2.0])
OF_ORDER = np.array([3.0, 2.0, -1.0, 0.0])
CUTS = np.array([-3.0, 0.0, 3.0])
OF_LABELS = 2.5 * np.array([[1, 0, 0, 1], [0, 1, 0, -1], [0, 0, 1, 0], [0, 1, 1, 0]])


@dataclass(frozen=True)
class World:
    """One split: features (rows, 4) and labels of every kind."""

    x: Array
    binary: Array
    classes: Array
    quantity: Array
    other: Array
    order: Array
    labels: Array


def world(rows: int, seed: int) -> World:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    draw = rng.random
    return World(
        x,
        (draw(rows) < expit(x @ OF_BINARY)).astype(np.int64),
        (softmax(x @ OF_CLASSES, axis=1).cumsum(axis=1) < draw((rows, 1))).sum(axis=1),
        x @ OF_QUANTITY + 10 + rng.normal(size=rows),
        x @ OF_OTHER + 3 + rng.normal(size=rows),
        (draw((rows, 1)) < expit((x @ OF_ORDER)[:, None] - CUTS)).sum(axis=1),
        (draw((rows, 4)) < expit(x @ OF_LABELS)).astype(np.int64),
    )


TRAIN, VALIDATION = world(N_TRAIN, 1), world(N_VALIDATION, 2)


def least_squares(target: Array) -> Array:
    """(5, targets) weights and offset on the training rows."""
    design = np.concatenate([TRAIN.x, np.ones((N_TRAIN, 1))], axis=1).astype(np.float64)
    return np.asarray(np.linalg.lstsq(design, target.reshape(N_TRAIN, -1).astype(np.float64), rcond=None)[0])
