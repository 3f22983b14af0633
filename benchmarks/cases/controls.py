"""What makes a healthy control, by rows that no split holds: validation rows must not choose their controls."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import balanced_accuracy_score, log_loss, r2_score

from benchmarks.cases.draft import Draft
from benchmarks.cases.networks import Array, Network, inputs_of

MAX_GAP, MIN_SCORE = 0.05, {"regression": 0.3}
# A network that boosted trees, trained on the same rows, beat by more has not learned what there is to learn.
MAX_BEATEN = 0.05
# Beyond this factor either way, the probabilities are wrong in every row and not in these alone.
MAX_TEMPERATURE = 2.0
MIN_ROWS, ENOUGH_ROWS = 100, 500


def why_not_healthy(network: Network, draft: Draft) -> str | None:
    """What is wrong with a network that was meant to have no fault, or None."""
    rest = draft.rest if len(draft.rest) >= MIN_ROWS else draft.validation
    train, judged = network.score(draft.train), network.score(rest)
    if train - judged > MAX_GAP or judged < MIN_SCORE.get(draft.world.task, 0.8):
        return f"the control is not healthy: {train:.3f} in training, {judged:.3f} on other rows"
    if len(draft.rest) < ENOUGH_ROWS:
        return None
    trees = _score_of_trees(draft)
    if trees - judged > MAX_BEATEN:
        return f"the control is not healthy: {judged:.3f} on other rows, boosted trees {trees:.3f}"
    if draft.world.task == "regression":
        return None
    temperature = best_temperature(network.answer(inputs_of(draft, rest)), rest["label"].to_numpy(int))
    if not 1 / MAX_TEMPERATURE < temperature < MAX_TEMPERATURE:
        return f"the control is not healthy: its probabilities need a temperature of {temperature:.2f}"
    return None


def _score_of_trees(draft: Draft) -> float:
    is_regression = draft.world.task == "regression"
    learner: Any = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    x, y = _features(draft, draft.train), draft.train["label"]
    answers = learner(random_state=0).fit(x, y).predict(_features(draft, draft.rest))
    score = r2_score if is_regression else balanced_accuracy_score
    return float(score(draft.rest["label"], answers))


def _features(draft: Draft, frame: pd.DataFrame) -> Array:
    return frame[draft.features].to_numpy("float32")


def best_temperature(probabilities: Array, labels: Array) -> float:
    """The temperature under which the labels are likeliest.

    Args:
        probabilities: (rows, classes), or (rows, 1) of class 1.
        labels: (rows,) whole numbers.
    """
    both = np.hstack([1 - probabilities, probabilities]) if probabilities.shape[1] == 1 else probabilities
    logits = np.log(np.clip(both.astype(np.float64), 1e-12, 1.0))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        known = range(both.shape[1])
        return float(log_loss(labels, powers / powers.sum(axis=1, keepdims=True), labels=list(known)))

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
