"""Rows as lines of text, for models that cut them into columns themselves."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audits.artefacts import Array, Column, LineFormat, Rows, TensorSpec
from audits.evidence.feeds.tensors import as_text
from audits.naming import listed
from schemas.problem import DataError


@dataclass(frozen=True)
class LineFeed:
    """The one input of a model that decodes CSV."""

    spec: TensorSpec
    columns: tuple[str, ...]
    delimiter: str

    def array(self, rows: Rows) -> Array:
        """(rows,) lines; what is missing is an empty cell, which the model fills with its own default."""
        cells = [as_text(np.asarray(rows[name])) for name in self.columns]
        lines = np.empty(len(rows), dtype=object)
        lines[:] = [self._line(row) for row in zip(*cells, strict=True)]
        return lines

    def describe(self) -> dict[str, Any]:
        return {
            "input": self.spec.name,
            "columns": list(self.columns),
            "sent_as": "lines of CSV",
            "layout": "dense",
            "note": f"the model cuts each row into {len(self.columns)} columns itself; they are sent in file order",
        }

    def _line(self, cells: Sequence[str]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=self.delimiter, lineterminator="").writerow(cells)
        return buffer.getvalue()


def feed_lines(columns: Sequence[Column], spec: TensorSpec, lines: LineFormat) -> LineFeed:
    """All columns in order, as many as the model cuts a line into.

    Raises:
        DataError: `feature_count_mismatch`.
    """
    names = [column.name for column in columns]
    if len(names) < lines.columns or (lines.takes_all and len(names) != lines.columns):
        raise DataError(
            "feature_count_mismatch",
            f"The model's input {spec.name!r} takes lines of {lines.columns} {'' if lines.takes_all else 'or more '}"
            f"columns (it decodes CSV itself), the data have {len(names)} feature columns: {listed(names)}. Name the "
            "columns in the order of the model's lines in data.features.",
            field="data.features",
        )
    return LineFeed(spec, tuple(names), lines.delimiter)
