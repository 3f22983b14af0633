from itertools import permutations

import numpy as np

from audits.statistics.assignment import best_label_permutation, hungarian


def test_the_assignment_is_the_best_of_all():
    cost = np.random.default_rng(0).random((6, 6))
    best = min(permutations(range(6)), key=lambda p: cost[range(6), p].sum())

    assert hungarian(cost).tolist() == list(best)


def test_without_a_reason_nothing_moves():
    """The order 0, 2, 1 costs 1 too, and is what the solver returns."""
    cost = np.array([[0, 0, 1], [2, 1, 0], [1, 1, 0]])

    assert hungarian(cost).tolist() == [0, 1, 2]


def test_labels_find_the_answers_that_most_of_their_rows_got():
    """Label 0 is answered 2, 1 stays, 2 is answered 0; the last column has no answer."""
    confusion = np.array([[1, 2, 30, 99], [3, 25, 2, 99], [40, 1, 5, 99]])

    assert best_label_permutation(confusion).tolist() == [2, 1, 0]
