"""Which networks may stand as healthy controls."""

from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.cases.controls import best_temperature, why_not_healthy
from benchmarks.cases.draft import Draft, draw
from benchmarks.cases.worlds import world


@dataclass
class Known:
    """A network whose answers are made of the labels of the rows it is asked about."""

    draft: Draft
    scores: dict[int, float]
    sureness: float = 1.0

    def score(self, frame) -> float:
        return self.scores.get(len(frame), 0.9)

    def answer(self, rows: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        labels = self.draft.rest["label"].to_numpy()
        logit = rng.normal(0, 3, len(rows))
        # the label is drawn from the probability, so that it is true at a sureness of 1
        swapped = (rng.random(len(rows)) < 1 / (1 + np.exp(-logit))) == (labels == 1)
        return (1 / (1 + np.exp(-self.sureness * np.where(swapped, logit, -logit))))[:, None]


@pytest.fixture
def draft() -> Draft:
    made = draw(world("two_classes"), 200, 0)
    made.standardise()
    return made


def test_a_network_that_is_as_good_as_trees_and_true_to_its_probabilities_is_healthy(draft: Draft):
    assert why_not_healthy(Known(draft, {}), draft) is None


def test_a_gap_to_rows_that_no_split_holds_is_not_healthy(draft: Draft):
    assert "in training" in why_not_healthy(Known(draft, {len(draft.train): 0.99}), draft)


def test_a_network_that_trees_beat_by_far_is_not_healthy(draft: Draft):
    scores = {len(draft.train): 0.82, len(draft.rest): 0.82}

    assert "boosted trees" in why_not_healthy(Known(draft, scores), draft)


@pytest.mark.parametrize("sureness", [0.3, 3.0])
def test_a_network_that_is_far_too_sure_or_unsure_is_not_healthy(draft: Draft, sureness: float):
    assert "temperature" in why_not_healthy(Known(draft, {}, sureness), draft)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_that_was_put_in_is_found(factor: float):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (5000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=p) for p in shares])
    sharper = np.exp(factor * logits)

    found = best_temperature(sharper / sharper.sum(axis=1, keepdims=True), labels)

    assert found == pytest.approx(factor, rel=0.1)
