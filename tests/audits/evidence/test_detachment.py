"""How far labels go with answers, on one scale for classes and quantities."""

import numpy as np
import pytest

from audits.evidence.detachment import association


def drawn(task: str, share: float, n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Labels and answers, of which so large a share was drawn anew."""
    rng = np.random.default_rng(1)
    other = rng.random(n) < share
    if task == "regression":
        labels = rng.normal(size=n)
        return labels, np.where(other, rng.normal(size=n), labels)
    labels = rng.choice(3, n, p=[0.8, 0.1, 0.1])
    return labels, np.eye(3)[np.where(other, rng.integers(0, 3, n), labels)]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_what_is_left_is_what_was_not_drawn_anew(task: str, share: float):
    """0 by chance, also where one class is frequent; 1 where all agree."""
    found = association(*drawn(task, share))

    assert found.estimate == pytest.approx(1 - share, abs=max(0.01, 3 * found.error))
    assert found.error < 0.05


def test_fewer_rows_are_less_certain():
    few, many = (association(*drawn("regression", 0.4, n)) for n in (100, 3000))

    assert few.error > 3 * many.error
    assert many.above(association(*drawn("regression", 0.9))) > 0 > few.above(many)


def test_labels_that_are_all_the_same_say_nothing():
    assert association(np.ones(50), np.arange(50.0)).estimate == 0
