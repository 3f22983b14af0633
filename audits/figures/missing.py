"""Where values are missing: which columns, and where in the file."""

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.figures.spec import LOST, MAX_CELLS, Row, figure, names_axis, nominal, shares_by_split, told_apart, x
from audits.repairs.imputation import holes
from schemas.report import Figure

MAX_COLUMNS = 20
MAX_BLOCKS = 60


def missing_shares(case: Case) -> Figure | None:
    """The share of missing values of the columns that have most, in both splits."""
    found = _holes(case)
    if found is None:
        return None
    columns, names, (train, validation) = found
    rows: list[Row] = [
        {"column": name, "split": split, "share": float(mask[:, column].mean())}
        for column, name in zip(columns, names, strict=True)
        for split, mask in (("training", train), ("validation", validation))
    ]
    worst = max(rows, key=lambda row: row["share"])
    title = f"{worst['share']:.0%} of the {worst['split']} values of {worst['column']} are missing"
    return shares_by_split("missing_shares", title, rows, "column", "share of values missing")


def missing_map(case: Case) -> Figure | None:
    """Missing values of the validation sample in the order of the file; of the training one where it alone has any."""
    found = _holes(case)
    if found is None:
        return None
    columns, names, masks = found
    split, mask = ("validation", masks[1]) if masks[1].any() else ("training", masks[0])
    blocks = np.array_split(np.arange(len(mask)), min(MAX_BLOCKS, MAX_CELLS // len(columns), len(mask)))
    index = _subject(case, split).index
    rows = [
        {
            "column": name,
            "first": int(index[block[0]]),
            "end": int(index[block[-1]]) + 1,
            "share": float(mask[block, column].mean()),
        }
        for column, name in zip(columns, names, strict=True)
        for block in blocks
    ]
    title = f"Where in the {split} file values are missing"
    body = {
        "height": {"step": 18},
        "mark": {"type": "rect", "color": LOST},
        "encoding": {
            "y": nominal("column", axis=names_axis()),
            "x": x("first", "row", axis={"grid": False, "tickCount": 4}, scale={"nice": False}),
            "x2": {"field": "end"},
            "opacity": {
                "field": "share",
                "type": "quantitative",
                "legend": None,
                "scale": {"domain": [0, 1], "range": [0.06, 1]},
            },
        },
    }
    holed = np.flatnonzero(mask.any(axis=1))
    told = f"{len(holed)} of {len(mask)} rows have a missing value, in {len(columns)} columns"
    return figure("missing_map", title, f"{title}: {told}.", rows, body)


def _subject(case: Case, split: str) -> Subject:
    return (case.train if split == "training" else case.validation).sample


def _holes(case: Case) -> tuple[Array, list[str], tuple[Array, Array]] | None:
    """Columns with most holes, their names, and (rows, columns) masks of both samples."""
    if case.space.layout == "image":
        return None
    train, validation = (holes(case.space, split.sample.rows) for split in (case.train, case.validation))
    shares = np.maximum(train.mean(axis=0), validation.mean(axis=0))
    columns = np.argsort(-shares, kind="stable")[: min(MAX_COLUMNS, int((shares > 0).sum()))]
    if not len(columns):
        return None
    every = (*case.space.units, *case.space.texts)
    names = told_apart(every[i] if i < len(every) else f"column {i}" for i in columns)
    return columns, names, (train, validation)
