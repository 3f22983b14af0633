"""Rows as lines of CSV for models that decode them."""

import csv

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Column, LineFormat, TensorSpec
from audits.evidence.feeds.lines import feed_lines
from schemas.problem import DataError

SPEC = TensorSpec("csv_row", "string", (None,))
COLUMNS = [Column("a", "number"), Column("n", "number"), Column("t", "string")]


def test_a_line_is_cut_into_what_it_was_made_of():
    rows = pd.DataFrame(
        {"a": [0.1, np.nan], "n": [3, -7], "t": pd.Series(['x;"y"\nz', None], dtype=object), "unused": [1, 2]}
    )
    feed = feed_lines(COLUMNS, SPEC, LineFormat(3, True, ";"))
    lines = [next(csv.reader([line.replace("\n", "\\n")], delimiter=";")) for line in feed.array(rows)]

    assert lines == [["0.1", "3", 'x;"y"\\nz'], ["", "-7", ""]]


@pytest.mark.parametrize(
    ("columns", "takes_all", "fits"),
    [(3, True, True), (4, True, False), (2, True, False), (2, False, True), (5, False, False)],
)
def test_lines_of_another_number_of_columns_are_refused(columns: int, takes_all: bool, fits: bool):
    if fits:
        assert feed_lines(COLUMNS, SPEC, LineFormat(columns, takes_all, ",")).columns == ("a", "n", "t")
        return
    with pytest.raises(DataError, match=r"data\.features") as caught:
        feed_lines(COLUMNS, SPEC, LineFormat(columns, takes_all, ","))
    assert caught.value.code == "feature_count_mismatch"
