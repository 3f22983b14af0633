"""TFRecord files of `tf.train.Example`: each feature of one value is a column, of k values k columns."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from audits.artefacts import Array, ColumnKind, FoundText
from audits.sources.compression import unpacked
from audits.sources.example_messages import example_class
from audits.sources.records.framing import CutOffError, DamagedRecordError, Record, records
from audits.sources.tables.columns import (
    SHOWN_CHARACTERS,
    Chunk,
    Observed,
    TableSource,
    as_whole,
    is_number,
    require_sound_names,
    text_in_numeric_column,
)
from schemas.problem import DataError

MAX_RECORD_BYTES = 256 * 2**20
HEAD_RECORDS = 200
BATCH_RECORDS = 4096
BATCH_BYTES = 64 * 2**20
_LISTS = ("float_list", "int64_list", "bytes_list")


class _Feature:
    """What the head says of a feature."""

    def __init__(self) -> None:
        self.width = 0
        self.list = ""
        self.whole = True
        self.text: FoundText | None = None
        self.is_text = True


class ExampleFile:
    """A TFRecord file. A record without a feature of one value has a hole there.

    Raises:
        DataError: when it is opened: `data_malformed`, `feature_shape_mismatch`, `data_too_many_columns`.
    """

    def __init__(self, source: TableSource) -> None:
        self.path = source.path
        self._source = source
        self._features: dict[str, _Feature] = {}
        with self._examples() as examples:
            for record, example in islice(examples, HEAD_RECORDS):
                self._look(record.number, example.features.feature)
        self.is_empty = not self._features
        self._columns: dict[str, tuple[str, int]] = {}
        for name in sorted(self._features):  # a map has no order of its own
            width = self._features[name].width
            if width == 1:
                self._columns[name] = (name, 0)
            else:
                self._columns |= {f"{name}[{place}]": (name, place) for place in range(width)}
        require_sound_names(list(self._columns), source)
        self.observed: Mapping[str, Observed] = {
            column: _observed(self._features[name]) for column, (name, _) in self._columns.items()
        }

    def describe(self) -> dict[str, Any]:
        packed = self._source.compression
        wide = {name: one.width for name, one in self._features.items() if one.width > 1}
        return {
            "records": "tf.train.Example, features by name",
            **({"vectors": wide} if wide else {}),
            **({"compression": packed} if packed else {}),
        }

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        for column in kinds:
            self._require_readable(column)
        names = list(dict.fromkeys(self._columns[column][0] for column in kinds))
        with self._examples() as examples:
            for batch in _batched(examples):
                first = batch[0][0].number
                values = {name: self._values(batch, name) for name in names}
                columns = {column: self._convert(values, column, kind, first) for column, kind in kinds.items()}
                yield Chunk(first, columns, len(batch))

    @contextmanager
    def _examples(self) -> Iterator[Iterator[tuple[Record, Any]]]:
        with unpacked(self.path, self._source.compression, field=self._source.field) as stream:
            yield self._parsed(records(stream, max_bytes=MAX_RECORD_BYTES))

    def _parsed(self, found: Iterator[Record]) -> Iterator[tuple[Record, Any]]:
        parse = example_class().FromString
        number = 0
        try:
            for record in found:
                number = record.number
                if record.body is None:
                    raise self._problem(f"record {number} is longer than {MAX_RECORD_BYTES:,} bytes", number)
                if not record.is_sound:
                    raise self._problem(f"the checksum of record {number} is wrong", number)
                yield record, parse(record.body)
        except DecodeError:
            raise self._problem(f"record {number} is no tf.train.Example", number) from None
        except CutOffError as error:
            raise self._problem(f"the file ends inside record {error.record}", error.record) from None
        except DamagedRecordError as error:
            raise self._problem(f"record {error.record} is damaged: {error.why}", error.record) from None

    def _look(self, record: int, features: Any) -> None:
        for name, feature in features.items():
            filled = next((one for one in _LISTS if len(getattr(feature, one).value)), None)
            if filled is None:
                continue
            values = getattr(feature, filled).value
            seen = self._features.setdefault(name, _Feature())
            if seen.width not in {0, len(values)}:
                raise self._ragged(name, record, len(values), seen.width)
            seen.width = len(values)
            if seen.list and seen.list != filled and "bytes_list" in {seen.list, filled}:
                raise self._problem(f"feature {name!r} is of another type in record {record} than before", record)
            seen.list = "float_list" if {seen.list, filled} == {"float_list", "int64_list"} else filled
            if filled == "bytes_list":
                self._look_at_text(seen, values[0], record)

    def _look_at_text(self, seen: _Feature, value: bytes, record: int) -> None:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            seen.is_text = False
            return
        seen.is_text = seen.is_text and "\0" not in text
        if seen.text is None and not is_number(text):
            seen.text = FoundText(text[:SHOWN_CHARACTERS], record, str(self.path))

    def _values(self, batch: list[tuple[Record, Any]], name: str) -> Array:
        """(records, width) of a feature: float64 or int64, or objects."""
        seen = self._features[name]
        flat: list[Any] = []
        is_text = seen.list == "bytes_list"
        for record, example in batch:
            feature = example.features.feature.get(name)
            values: Any = ()
            if feature is not None:
                values = feature.bytes_list.value if is_text else feature.float_list.value or feature.int64_list.value
            if len(values) == seen.width:
                flat.extend(values)
            elif len(values) or seen.width > 1:
                raise self._ragged(name, record.number, len(values), seen.width)
            else:
                self._require_hole(feature, name, record.number)
                flat.append(None)
        if is_text:
            return self._texts(flat, batch[0][0].number, name).reshape(len(batch), seen.width)
        has_holes = None in flat
        numbers = np.array(flat, dtype=np.float64 if has_holes or seen.list == "float_list" else None)
        return numbers.reshape(len(batch), seen.width)

    def _require_hole(self, feature: Any, name: str, record: int) -> None:
        """A feature of another type than before is no hole."""
        held = next((one for one in _LISTS if feature is not None and len(getattr(feature, one).value)), None)
        if held is not None:
            raise DataError(
                "column_types_differ",
                f"Feature {name!r} is a {held} in record {record} of {self.path.name}, but a "
                f"{self._features[name].list} before. Write it in the same way in every record.",
                field=self._source.field,
                file=str(self.path),
                row=record,
                column=name,
            )

    def _texts(self, values: list[Any], first: int, name: str) -> Array:
        texts = np.empty(len(values), dtype=object)
        for place, value in enumerate(values):
            try:
                texts[place] = None if value is None or value == b"" else value.decode()
            except UnicodeDecodeError:
                raise self._problem(
                    f"feature {name!r} holds bytes that are no text in record {first + place}", first + place
                ) from None
        return texts

    def _convert(self, values: Mapping[str, Array], column: str, kind: ColumnKind, first: int) -> Array:
        name, place = self._columns[column]
        found = values[name][:, place]
        if kind == "string" and found.dtype != object:
            return np.array([None if v != v else _as_text(v) for v in found.tolist()], dtype=object)  # noqa: PLR0124
        if kind != "string" and found.dtype == object:
            text = next(((row, v) for row, v in enumerate(found.tolist()) if v is not None and not is_number(v)), None)
            if text is not None:
                at = FoundText(text[1][:SHOWN_CHARACTERS], first + text[0], str(self.path))
                raise text_in_numeric_column(column, at, "the files before it hold numbers", field=self._source.field)
            found = np.array([np.nan if v is None else float(v) for v in found.tolist()])
        return as_whole(found) if self.observed[column].whole else found

    def _require_readable(self, column: str) -> None:
        seen = self._features[self._columns[column][0]]
        if seen.list == "bytes_list" and not seen.is_text:
            raise DataError(
                "column_type_unsupported",
                f"Feature {column!r} of {self.path.name} holds bytes that are no text, such as an encoded image or "
                "tensor. Write numbers (float_list, int64_list), numpy.savez(path, x=..., y=...), or a folder of "
                "images.",
                field=self._source.field,
                file=str(self.path),
                column=column,
            )

    def _ragged(self, name: str, record: int, got: int, expected: int) -> DataError:
        return DataError(
            "feature_shape_mismatch",
            f"Feature {name!r} has {got} values in record {record} of {self.path.name}, but {expected} before. Write "
            "as many in every record.",
            field=self._source.field,
            file=str(self.path),
            row=record,
            column=name,
        )

    def _problem(self, why: str, record: int) -> DataError:
        return DataError(
            "data_malformed",
            f"{self.path.name} cannot be read as TFRecord: {why}. Write the file again.",
            field=self._source.field,
            file=str(self.path),
            row=record,
        )


def _batched(examples: Iterator[tuple[Record, Any]]) -> Iterator[list[tuple[Record, Any]]]:
    batch: list[tuple[Record, Any]] = []
    size = 0
    for record, example in examples:
        batch.append((record, example))
        size += record.length
        if len(batch) == BATCH_RECORDS or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _observed(seen: _Feature) -> Observed:
    if seen.list == "bytes_list":
        return Observed("string" if seen.is_text else None, text=seen.text)
    return Observed("number", seen.list == "int64_list")


def _as_text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)
