"""Which rows repeat others, by their fingerprints: sorted once, since both splits may have millions."""

import numpy as np

from audits.artefacts import Array


def among(marks: Array, others: Array) -> Array:
    """(marks,) whether each stands among the others.

    Args:
        marks: (n,) uint64 in any order.
        others: (m,) uint64, sorted.
    """
    if not len(others):
        return np.zeros(len(marks), dtype=bool)
    order = np.argsort(marks)  # neighbours are looked up next to each other
    asked = marks[order]
    place = np.minimum(np.searchsorted(others, asked), len(others) - 1)
    found = np.empty(len(marks), dtype=bool)
    found[order] = others[place] == asked
    return found


def repeated(ordered: Array) -> int:
    """How many of the sorted marks repeat an earlier one."""
    return int(np.count_nonzero(ordered[1:] == ordered[:-1]))


def shared(ordered: Array) -> float:
    """Share of the sorted marks that another one equals; 0 of none."""
    if not len(ordered):
        return 0.0
    same = ordered[1:] == ordered[:-1]
    return float((np.append(same, False) | np.insert(same, 0, False)).mean())
