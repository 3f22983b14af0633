"""Data sets before the split: what scikit-learn ships, and synthetic ones with rows enough for any size."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import datasets

Task = Literal["binary", "multiclass", "regression"]
Array = npt.NDArray[np.float64]
SYNTHETIC_ROWS = 12_000


@dataclass(frozen=True)
class World:
    """A data set.

    Attributes:
        frame: feature columns and `label`; integer codes 0..k-1 where the label is a class.
        categories: columns that hold integer codes 0..k-1, which are never standardised.
        image_shape: (height, width, channels), where the columns are pixels in [0, 255].
    """

    name: str
    frame: pd.DataFrame
    task: Task
    categories: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None

    @property
    def numbers(self) -> list[str]:
        return [name for name in self.frame if name != "label" and name not in self.categories]

    @property
    def classes(self) -> int:
        return 0 if self.task == "regression" else int(self.frame["label"].max()) + 1


@dataclass
class _Makers:
    known: dict[str, Callable[[], World]] = field(default_factory=dict)

    def __call__(self, maker: Callable[[], World]) -> Callable[[], World]:
        self.known[maker.__name__] = maker
        return maker


_world = _Makers()


def names() -> list[str]:
    return list(_world.known)


@cache
def world(name: str) -> World:
    return _world.known[name]()


@_world
def breast_cancer() -> World:
    return _shipped("breast_cancer", datasets.load_breast_cancer, "binary")


@_world
def wine() -> World:
    return _shipped("wine", datasets.load_wine, "multiclass")


@_world
def diabetes() -> World:
    return _shipped("diabetes", datasets.load_diabetes, "regression")


@_world
def digits() -> World:
    bunch = datasets.load_digits()
    frame = pd.DataFrame(bunch.data * 255.0 / 16.0, columns=[f"pixel_{i:02d}" for i in range(64)])
    return World("digits", frame.assign(label=bunch.target), "multiclass", image_shape=(8, 8, 1))


@_world
def two_classes() -> World:
    x, y = datasets.make_classification(
        SYNTHETIC_ROWS, 14, n_informative=8, n_redundant=2, class_sep=1.3, flip_y=0.02, random_state=70
    )
    return World("two_classes", _with_units(x, 70).assign(label=y), "binary")


@_world
def four_classes() -> World:
    x, y = datasets.make_classification(
        SYNTHETIC_ROWS, 12, n_informative=8, n_classes=4, class_sep=1.7, flip_y=0.02, random_state=80
    )
    return World("four_classes", _with_units(x, 80).assign(label=y), "multiclass")


@_world
def rare_positives() -> World:
    x, y = datasets.make_classification(
        SYNTHETIC_ROWS, 10, n_informative=6, weights=[0.9], class_sep=1.8, flip_y=0.01, random_state=90
    )
    return World("rare_positives", _with_units(x, 90).assign(label=y), "binary")


@_world
def friedman() -> World:
    x, y = datasets.make_friedman1(SYNTHETIC_ROWS, 10, noise=1.0, random_state=100)
    return World("friedman", _with_units(x, 100).assign(label=y), "regression")


@_world
def quantiles() -> World:
    x, y = datasets.make_gaussian_quantiles(n_samples=SYNTHETIC_ROWS, n_features=3, n_classes=3, random_state=110)
    return World("quantiles", _with_units(x, 110).assign(label=y), "multiclass")


@_world
def orders() -> World:
    """Shop orders: amounts and coded categories, whether the goods came back."""
    rng = np.random.default_rng(120)
    n = SYNTHETIC_ROWS
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(4.0, 0.8, n),
            "items": rng.poisson(3.0, n) + 1.0,
            "days_to_deliver": rng.gamma(4.0, 1.2, n),
            "discount": rng.beta(2.0, 6.0, n) * 100,
            "shop": rng.integers(0, 5, n),
            "payment": rng.integers(0, 4, n),
        }
    )
    of_shop, of_payment = np.array([-1.6, -0.4, 0.3, 1.1, 2.2]), np.array([1.2, -1.4, 0.2, -0.3])
    score = of_shop[frame["shop"]] + of_payment[frame["payment"]] + 0.8 * (np.log(frame["amount"]) - 4.0)
    score += 0.7 * (frame["days_to_deliver"] - 4.8) + 0.04 * (frame["discount"] - 25)
    label = (1.6 * score + rng.logistic(0, 1, n) > 0).astype(int)
    return World("orders", frame.assign(label=label), "binary", categories=("shop", "payment"))


def _shipped(name: str, load: Callable[..., object], task: Task) -> World:
    bunch = load(as_frame=True)
    features = bunch.data.rename(columns=lambda column: re.sub(r"\W+", "_", column)).astype("float64")  # type: ignore[attr-defined]
    return World(name, features.assign(label=bunch.target.to_numpy()), task)  # type: ignore[attr-defined]


def _with_units(x: Array, seed: int) -> pd.DataFrame:
    """Columns as large and as far from zero as those of real tables."""
    rng = np.random.default_rng(seed)
    values = x * 10 ** rng.uniform(-2, 3, x.shape[1]) + rng.normal(0, 50, x.shape[1])
    return pd.DataFrame(values, columns=[f"x{i:02d}" for i in range(x.shape[1])])
