"""Parquet files, streamed by row group; the footer is held against limits before anything is decoded."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from audits.artefacts import ColumnKind
from audits.sources.tables.columns import (
    MAX_COLUMNS,
    Chunk,
    Observed,
    first_text,
    text_in_numeric_column,
    to_numpy,
)
from schemas.problem import DataError

BATCH_ROWS = 16_384
MAX_FOOTER_STRING = 100 * 2**20
MAX_FOOTER_ITEMS = 1_000_000


class ParquetFile:
    """A Parquet file of plain columns.

    Raises:
        DataError: when it is opened: `data_malformed`, `column_duplicated`, `data_too_many_columns`.
    """

    def __init__(self, path: Path, *, field: str) -> None:
        self.path = path
        self._field = field
        with self._open() as file:
            self._rows = file.metadata.num_rows
            schema = file.schema_arrow
        self._require_sound(schema)
        self.is_empty = self._rows == 0
        self._types = {name: _plain(type_) for name, type_ in zip(schema.names, schema.types, strict=True)}
        self._declared = dict(zip(schema.names, schema.types, strict=True))
        self.observed: Mapping[str, Observed] = {
            name: Observed(_kind_of(type_), pa.types.is_integer(type_)) if type_ is not None else Observed(None)
            for name, type_ in self._types.items()
        }

    def describe(self) -> dict[str, Any]:
        return {}

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        for name in kinds:
            self._require_readable(name)
        row = 0
        with self._open() as file:
            for batch in self._batches(file, list(kinds)):
                yield Chunk(
                    row, {name: self._convert(batch, name, kind, row) for name, kind in kinds.items()}, len(batch)
                )
                row += len(batch)
        if row != self._rows:
            raise self._malformed(f"the footer promises {self._rows:,} rows, there are {row:,}")

    def _batches(self, file: parquet.ParquetFile, names: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from file.iter_batches(BATCH_ROWS, columns=names)
        except (pa.ArrowException, OSError) as error:
            raise self._malformed(_first_line(error)) from None

    def _convert(self, batch: pa.RecordBatch, name: str, kind: ColumnKind, row: int) -> Any:
        values = batch.column(name)
        if isinstance(values, pa.DictionaryArray):
            values = values.dictionary_decode()
        try:
            return to_numpy(values, kind, whole=self.observed[name].whole)
        except pa.ArrowInvalid:
            texts = values.cast(pa.string()).to_pylist()
            found = first_text(texts, self.path, row)
            if found is None or kind == "time":
                raise self._malformed(f"column {name!r} is not of the kind {kind}") from None
            raise text_in_numeric_column(name, found, "the files before it hold numbers", field=self._field) from None

    def _open(self) -> parquet.ParquetFile:
        try:
            return parquet.ParquetFile(
                self.path,
                thrift_string_size_limit=MAX_FOOTER_STRING,
                thrift_container_size_limit=MAX_FOOTER_ITEMS,
            )
        except (pa.ArrowException, OSError) as error:
            raise self._malformed(_first_line(error)) from None

    def _require_sound(self, schema: pa.Schema) -> None:
        if len(schema.names) > MAX_COLUMNS:
            raise DataError(
                "data_too_many_columns",
                f"{self.path.name} has {len(schema.names):,} columns; at most {MAX_COLUMNS:,} are read.",
                field=self._field,
                file=str(self.path),
            )
        twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
        if twice is not None:
            raise DataError(
                "column_duplicated",
                f"{self.path.name} has two columns named {twice!r}. Give every column a name of its own.",
                field=self._field,
                file=str(self.path),
                column=twice,
            )

    def _require_readable(self, name: str) -> None:
        if self._types[name] is None:
            raise DataError(
                "column_type_unsupported",
                f"Column {name!r} of {self.path.name} is of the type {self._declared[name]}; numbers, truth values, "
                "texts and time stamps are read. Convert it, or leave it out of data.features.",
                field=self._field,
                file=str(self.path),
                column=name,
            )

    def _malformed(self, why: str) -> DataError:
        return DataError(
            "data_malformed",
            f"{self.path.name} cannot be read as Parquet: {why}. Write the file again.",
            field=self._field,
            file=str(self.path),
        )


def _plain(type_: pa.DataType) -> pa.DataType | None:
    """The type that a column is read as; None where it cannot be."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_decimal(type_) or pa.types.is_float16(type_):
        return pa.float64()
    if pa.types.is_date(type_):
        return pa.timestamp("ns")
    if pa.types.is_string_view(type_):
        return pa.string()
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_timestamp)
    return type_ if any(test(type_) for test in known + texts) else None


def _kind_of(type_: pa.DataType) -> ColumnKind | None:
    if pa.types.is_null(type_):
        return None
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_timestamp(type_):
        return "time"
    return "number" if pa.types.is_integer(type_) or pa.types.is_floating(type_) else "string"


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0][:200].rstrip(".")
