"""A case in the making: two splits, how the network is trained, and what the user will say about it."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmarks.cases.worlds import World

MAX_TRAINING_ROWS = 1500


@dataclass
class Recipe:
    """How the network is built and trained.

    Attributes:
        patience: epochs without progress on held-back training rows before training stops; None trains to the end.
        head: the output layer; "fitting" suits the task.
        logit_factor, logit_shift: applied to the logits of the finished model.
    """

    units: tuple[int, ...] = (32, 16)
    epochs: int = 60
    patience: int | None = 5
    dropout: float = 0.1
    l2: float = 1e-4
    learning_rate: float = 4e-3
    shuffle: bool = True
    standardise: bool = True
    head: str = "fitting"
    logit_factor: float = 1.0
    logit_shift: float = 0.0


@dataclass
class Draft:
    """What faults edit.

    Attributes:
        train, validation: features and `label`; raw units before the training, standardised after it.
        rest: rows in neither split, which tell how good the model really is; standardised like the others.
        roles: role -> column of the request.
        reported: metrics that the request says were reported; a value of None names the metric alone.
        exaggerated: how much better than it is the metric is reported, by name.
    """

    world: World
    train: pd.DataFrame
    validation: pd.DataFrame
    rest: pd.DataFrame
    rng: np.random.Generator
    recipe: Recipe = field(default_factory=Recipe)
    roles: dict[str, str] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    exaggerated: dict[str, float] = field(default_factory=dict)
    with_history: bool = False
    mean: "pd.Series[float]" = field(default_factory=lambda: pd.Series(dtype=float))
    spread: "pd.Series[float]" = field(default_factory=lambda: pd.Series(dtype=float))

    @property
    def features(self) -> list[str]:
        spoken_for = {"label", *self.roles.values()}
        return [name for name in self.train if name not in spoken_for]

    def parts(self) -> list[pd.DataFrame]:
        return [self.train, self.validation, self.rest]

    def standardise(self) -> None:
        """By the training rows; pixels to [0, 1]."""
        names = self.world.numbers
        if self.world.image_shape:
            self.mean, self.spread = pd.Series(0.0, names), pd.Series(255.0, names)
        else:
            self.mean = self.train[names].mean()
            self.spread = self.train[names].std().replace(0, 1.0)
        if self.recipe.standardise:
            for part in self.parts():
                part[names] = (part[names] - self.mean) / self.spread

    def in_units(self, names: list[str]) -> pd.DataFrame:
        """Validation columns in their raw units."""
        return self.validation[names] * self.spread[names] + self.mean[names]

    def set_in_units(self, names: list[str], values: pd.DataFrame) -> None:
        self.validation[names] = (values - self.mean[names]) / self.spread[names]

    def important(self, count: int) -> list[str]:
        """The columns most tied to the label, by the training rows."""
        label = self.train["label"].to_numpy(float)
        if self.world.task == "multiclass":
            label = (label == np.bincount(label.astype(int)).argmax()).astype(float)
        x = self.train[self.world.numbers].to_numpy(float)
        spread = x.std(axis=0)
        tied = np.abs(((x - x.mean(axis=0)) * (label - label.mean())[:, None]).mean(axis=0)) / np.maximum(spread, 1e-12)
        tied[spread < 1e-9] = 0.0
        return [self.world.numbers[i] for i in np.argsort(tied)[::-1][:count]]

    def hit(self, share: float) -> "pd.Series[bool]":
        """Some validation rows, at least one."""
        chosen = self.rng.random(len(self.validation)) < share
        chosen[self.rng.integers(len(chosen))] = True
        return pd.Series(chosen, index=self.validation.index)


def draw(world: World, n_validation: int, seed: int) -> Draft:
    """A random split; what neither side needs is left over.

    Raises:
        ValueError: too few rows for a training split of a hundred.
    """
    rng = np.random.default_rng(seed)
    shuffled = world.frame.iloc[rng.permutation(len(world.frame))].reset_index(drop=True)
    spare = len(shuffled) - n_validation
    if spare < 100:
        raise ValueError(f"{world.name} has {len(shuffled)} rows, too few for {n_validation} of validation")
    n_train = min(MAX_TRAINING_ROWS, spare if spare < 400 else int(0.75 * spare))
    pieces = np.split(np.arange(len(shuffled)), [n_validation, n_validation + n_train])
    validation, train, rest = (shuffled.iloc[piece].reset_index(drop=True) for piece in pieces)
    return Draft(world, train, validation, rest, rng)
