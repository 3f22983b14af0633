"""Sequences of ids whose padding stands at the other end.

Rows of equal length hold texts of different lengths: the rest is filled with 0, in front or behind. Nothing else moves
every id of a row to another position, so that it is told as columns that hold each other's values.
"""

from dataclasses import replace
from typing import Literal, cast

import numpy as np

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.repairs.protocol import Suspicion
from schemas.report import Effect, Remedy

End = Literal["front", "back"]
# Fewer positions are columns, not a sequence.
MIN_POSITIONS = 8
# Share of the padded rows that must carry their padding at one end.
MOSTLY = 0.95
MIN_PADDED = 0.05
MIN_IDS = 10


def padded_end(case: Case, subject: Subject) -> End | None:
    """The end at which these sequences are padded; None where they are no sequences or not padded."""
    if case.space.layout != "vector" or len(case.space.units) < MIN_POSITIONS:
        return None
    ids = case.space.matrix(subject.rows)
    if not np.isfinite(ids).all() or (ids < 0).any() or (ids != np.floor(ids)).any() or ids.max(initial=0) < MIN_IDS:
        return None
    filled = ids != 0
    padded = ~filled.all(axis=1) & filled.any(axis=1)
    if padded.mean() < MIN_PADDED:
        return None
    # one stretch of ids that ends with the row, or begins with it
    edges = np.count_nonzero(np.diff(filled[padded], axis=1), axis=1) == 1
    shares = {"front": (edges & filled[padded][:, -1]).mean(), "back": (edges & filled[padded][:, 0]).mean()}
    end = max(shares, key=lambda key: float(shares[key]))
    return cast(End, end) if shares[end] > MOSTLY else None


def with_padding(rows: Rows, end: End) -> Rows:
    """The rows with all zeros at one end and the ids in their order."""
    ids = np.asarray(rows)
    flat = ids.reshape(len(ids), -1)
    filled = flat != 0
    order = np.argsort(filled if end == "front" else ~filled, axis=1, kind="stable")
    return np.take_along_axis(flat, order, axis=1).reshape(ids.shape)


def moved_at_random(rows: Rows, rng: np.random.Generator) -> Array:
    """Every row turned by a number of positions of its own."""
    ids = np.asarray(rows)
    flat = ids.reshape(len(ids), -1)
    turned = (np.arange(flat.shape[1]) + rng.integers(1, flat.shape[1], len(flat))[:, None]) % flat.shape[1]
    return np.take_along_axis(flat, turned, axis=1).reshape(ids.shape)


def suspicion(code: str, case: Case, subject: Subject, end: End) -> Suspicion:
    """Sequences that are padded at the other end than in training."""

    def apply(faulty: Subject) -> Subject:
        return case.rerun(faulty, with_padding(faulty.rows, end))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        return replace(faulty, rows=moved_at_random(faulty.rows, rng))

    moved = np.any(case.space.matrix(apply(subject).rows) != case.space.matrix(subject.rows), axis=1)
    side, start, keyword = ("front", "-length:", "pre") if end == "front" else ("back", ":length", "post")
    return Suspicion(
        code=code,
        intervention=f"move the padding of the sequences to the {side}, where it stands in training,",
        apply=apply,
        placebo=placebo,
        rows=moved,
        effect=Effect(name="share_of_rows_padded_at_the_other_end", estimate=float(moved.mean()), limit=0.0),
        evidence={"padding_in_training": end},
        remedy=Remedy(
            text=f"Pad every sequence at the {side}, as in training: padding={keyword!r} of keras.utils.pad_sequences.",
            code="import numpy as np\n\n"
            "def move_padding(x: np.ndarray) -> np.ndarray:\n"
            "    result = np.zeros_like(x)\n"
            "    for row, ids in zip(result, x):\n"
            "        length = int((ids != 0).sum())\n"
            "        if length:\n"
            f"            row[{start}] = ids[ids != 0]\n"
            "    return result\n",
        ),
    )
