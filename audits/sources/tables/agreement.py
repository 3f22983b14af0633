"""The one kind of each column, which all files of both splits agree on."""

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from audits.artefacts import Column, ColumnKind, SplitName
from audits.naming import normalised
from audits.sources.tables.columns import Observed, TableFile, text_in_numeric_column
from schemas.problem import DataError

# Kinds that are read as numbers without loss.
_NUMERIC: frozenset[ColumnKind] = frozenset({"number", "boolean"})
# Roles of which it only matters whether two values are the same.
IDENTIFYING = frozenset({"id", "group"})
_SAID: Mapping[ColumnKind, str] = {
    "number": "numbers",
    "boolean": "truth values",
    "string": "text",
    "time": "time stamps",
}


class Agreement:
    """All files of both splits, the training files first: whoever comes first defines a column's kind."""

    def __init__(self, opened: Mapping[SplitName, Sequence[TableFile]], texts: Collection[str]) -> None:
        """`texts` are the names, normalised, of what is read as it is written."""
        self._opened = opened
        self._texts = texts

    def column(self, name: str, *, field: str | None = None) -> Column:
        """The one kind that all files agree on.

        Raises:
            DataError: `text_in_numeric_column` or `column_types_differ`, naming the file.
        """
        seen = [
            (split, file, file.observed[name])
            for split, files in self._opened.items()
            for file in files
            if not file.is_empty
        ]
        lists = next((observed.list_of for _, _, observed in seen if observed.list_of is not None), None)
        text = next((observed.text for _, _, observed in seen if observed.text is not None), None)
        if normalised(name) in self._texts:
            return Column(name, "string", text, lists)
        known = [(split, file, observed) for split, file, observed in seen if observed.kind is not None]
        kind: ColumnKind = cast(ColumnKind, known[0][2].kind) if known else "number"
        for split, file, observed in known[1:]:
            kind = _agreed(kind, observed, name, file, field or f"data.{split}.uri")
        return Column(name, kind, text if kind == "string" else None, lists)

    def role(self, role: str, name: str) -> Column:
        """As `column`; weights are numbers, and numbers that identify are read with all their digits.

        Raises:
            DataError: as `column` does.
        """
        column = self.column(name, field=f"data.{role}")
        if role == "weight" and column.text is not None:
            raise text_in_numeric_column(name, column.text, "weights are numbers", field="data.weight")
        if role in IDENTIFYING and column.kind == "number" and self._has_digits(name):
            return Column(name, "string")
        return column

    def _has_digits(self, name: str) -> bool:
        return any(file.observed[name].digits for files in self._opened.values() for file in files if file.observed)

    def label_kind(self, name: str, split: SplitName) -> ColumnKind:
        """The kind within one split. Splits that name their classes differently are a finding, not a problem."""
        kinds = {file.observed[name].kind for file in self._opened[split] if not file.is_empty} - {None}
        if len(kinds) == 1 and kinds != {"time"}:
            return cast(ColumnKind, kinds.pop())
        return "number" if kinds <= _NUMERIC else "string"


def _agreed(kind: ColumnKind, observed: Observed, name: str, file: TableFile, field: str) -> ColumnKind:
    """The kind of a column so far, after another file.

    Numbers in a later file of a text column are text; truth values among numbers are 0 and 1.
    """
    other = observed.kind
    if other is None or kind in {other, "string"}:
        return kind
    if kind in _NUMERIC and other in _NUMERIC:
        return "number"
    if kind in _NUMERIC and observed.text is not None:
        raise text_in_numeric_column(name, observed.text, "the files before it hold numbers", field=field)
    if other == "string" and kind in _NUMERIC:
        return kind  # a file of text that holds nothing but holes, or numbers stored as text
    raise DataError(
        "column_types_differ",
        f"Column {name!r} holds {_SAID[kind]} in the files before, {_SAID[other]} in {file.path.name}. "
        "Write it in the same way in every file.",
        field=field,
        file=str(file.path),
        column=name,
    )
