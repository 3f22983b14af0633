"""Where to cut a probability."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from audits.evidence.labels import UNKNOWN
from audits.evidence.thresholds import best_threshold


def test_lies_midway_between_the_classes():
    assert best_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.4, 0.9])) == pytest.approx(0.3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_no_other_threshold_does_better(seed: int, n: int):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, n)])
    scores = np.round(rng.random(n + 2), 1)

    def score(cut: float) -> float:
        return balanced_accuracy_score(labels, scores >= cut)

    best = score(best_threshold(labels, scores))

    assert best >= max(score(cut) for cut in np.linspace(0.05, 0.95, 10)) - 1e-12


def test_rows_without_label_or_score_do_not_count():
    labels = np.array([0, 1, UNKNOWN, 1])
    scores = np.array([0.2, 0.6, 0.9, np.nan])

    assert best_threshold(labels, scores) == pytest.approx(0.4)


def test_without_rows_it_is_one_half():
    assert best_threshold(np.array([], dtype=int), np.array([])) == 0.5
