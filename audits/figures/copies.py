"""Validation rows beside the training rows that they are copies of."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from audits.evidence.case import Case, Subject
from audits.figures.spec import INK, MUTED, Row, figure, names_axis, nominal, short, told_apart
from schemas.report import Figure

MAX_PAIRS = 5
MAX_COLUMNS = 4
MAX_TEXT = 7


def copies(case: Case) -> Figure | None:
    """Some pairs of a table, cell by cell; None for arrays, and where no copy is in both samples."""
    ours, theirs = case.validation.sample, case.train.sample
    if not isinstance(ours.rows, pd.DataFrame) or not isinstance(theirs.rows, pd.DataFrame):
        return None
    pairs = _pairs(case)
    if not pairs:
        return None
    columns = _telling(theirs.rows)
    frames = {"validation": (ours, ours.rows), "training": (theirs, theirs.rows)}
    rows = [*_rows(frames, pairs, columns)]
    title = f"{len(pairs)} validation rows and the training rows that they repeat"
    side = {"labelAngle": 0, "orient": "top", "labelLimit": 72, "ticks": False, "domain": False}
    body = {
        "height": {"step": 20},
        "mark": {"type": "text", "align": "center", "fontSize": 11},
        "encoding": {
            "y": nominal("row", axis=names_axis(120)),
            "x": nominal("column", axis=side),
            "text": {"field": "value", "type": "nominal"},
            "color": {
                "field": "split",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": ["validation", "training"], "range": [INK, MUTED]},
            },
        },
    }
    told = "; ".join(
        f"validation row {int(ours.index[i])} repeats training row {int(theirs.index[j])}" for i, j in pairs
    )
    return figure("copies", title, f"{title}: {told}.", rows, body)


def _pairs(case: Case) -> list[tuple[int, int]]:
    """Positions in the two samples of rows of one fingerprint."""
    ours = case.validation.fingerprints[case.validation.sample.index]
    theirs = case.train.fingerprints[case.train.sample.index]
    order = np.argsort(theirs, kind="stable")
    place = np.searchsorted(theirs[order], ours).clip(max=max(0, len(theirs) - 1))
    found = np.flatnonzero(theirs[order][place] == ours)
    return [(int(i), int(order[place[i]])) for i in found[:MAX_PAIRS]]


def _telling(rows: pd.DataFrame) -> list[int]:
    """Positions of the columns with most different values: what makes a copy a copy."""
    counts = rows.head(2_000).nunique().to_numpy()
    return sorted(int(i) for i in np.argsort(-counts, kind="stable")[:MAX_COLUMNS])


def _rows(
    frames: Mapping[str, tuple[Subject, pd.DataFrame]], pairs: list[tuple[int, int]], columns: list[int]
) -> Iterator[Row]:
    names = told_apart((frames["validation"][1].columns[column] for column in columns), 12)
    for pair in pairs:
        for (split, (subject, frame)), at in zip(frames.items(), pair, strict=True):
            row = f"{split} {int(subject.index[at])}"
            for column, name in zip(columns, names, strict=True):
                yield {"row": row, "split": split, "column": name, "value": _cell(frame.iloc[at, column])}
            yield {"row": row, "split": split, "column": "label", "value": _cell(subject.raw_labels[at])}


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return short(value, MAX_TEXT)
