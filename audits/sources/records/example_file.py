"""TFRecord files of `tf.train.Example`: each feature of one value is a column, of several values several columns."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from audits.artefacts import Array, ColumnKind, FoundText
from audits.sources.compression import unpacked
from audits.sources.damage import malformed
from audits.sources.example_messages import example_class
from audits.sources.records.framing import CutOffError, DamagedRecordError, Record, records
from audits.sources.tables.columns import (
    MAX_COLUMNS,
    SHOWN_CHARACTERS,
    Chunk,
    Observed,
    TableSource,
    as_whole,
    is_number,
    require_read,
    require_sound_names,
    text_in_numeric_column,
)
from audits.sources.tables.lists import Lengths, lengths_differ
from schemas.problem import DataError

MAX_RECORD_BYTES = 256 * 2**20
HEAD_RECORDS = 200
BATCH_RECORDS = 4096
BATCH_BYTES = 64 * 2**20
_LISTS = ("float_list", "int64_list", "bytes_list")


class _Feature:
    """What the head says of a feature."""

    def __init__(self) -> None:
        self.first = self.least = self.most = 0
        self.records = 0
        self.odd: tuple[int, int] | None = None
        self.list = ""
        self.whole = True
        self.text: FoundText | None = None
        self.is_text = True

    def count(self, record: int, values: int) -> None:
        """Note how many values a record has."""
        if not self.records:
            self.first = self.least = values
        self.records += 1
        self.least, self.most = min(self.least, values), max(self.most, values)
        if values != self.first and self.odd is None:
            self.odd = (record, values)

    def lengths(self, records: int) -> Lengths:
        """Of all records; those without the feature have no values."""
        least = self.least if self.records == records else 0
        return Lengths(self.first, least, self.most, *(self.odd or (None, None)))


class ExampleFile:
    """A TFRecord file. A record without a feature of one value has a hole there.

    Raises:
        DataError: when it is opened: `data_malformed`, `feature_shape_mismatch`, `data_too_many_columns`.
    """

    def __init__(self, source: TableSource) -> None:
        self.path = source.path
        self._source = source
        self._features: dict[str, _Feature] = {}
        self._differing: frozenset[str] = frozenset()
        self._read_head()
        self.is_empty = not self._features
        self._widths = {name: one.most for name, one in self.lengths.items()}
        self._columns: dict[str, tuple[str, int]] = {}
        self.observed: Mapping[str, Observed] = {}
        self._observe()

    def widen(self, widths: Mapping[str, int]) -> None:
        self._widths |= widths
        self._differing |= set(widths)
        self._observe()

    def _read_head(self) -> None:
        """Look at the first records, and where lists differ in length at all of them."""
        with self._examples() as examples:
            number = 0
            most = self._source.max_rows
            # records are read batch by batch
            limit = None if most is None else -(-most // BATCH_RECORDS) * BATCH_RECORDS
            for number, (record, example) in enumerate(examples, 1):
                self._look(record.number, example.features.feature)
                if number == HEAD_RECORDS and not any(_is_list(one.lengths(number)) for one in self._features.values()):
                    break
                if number == limit:
                    break
        self.lengths = {name: one.lengths(number) for name, one in sorted(self._features.items())}

    def _observe(self) -> None:
        columns: dict[str, tuple[str, int]] = {}
        for name in sorted(self._features):  # a map has no order of its own
            width = self._widths[name]
            if width > MAX_COLUMNS or (width == 1 and name not in self._differing):
                columns[name] = (name, 0)
            else:
                columns |= {f"{name}[{place}]": (name, place) for place in range(width)}
        require_sound_names(list(columns), self._source)
        self._columns = columns
        self.observed = {
            column: _observed(self._features[name], self._widths[name], name if name in self._differing else None)
            for column, (name, _) in columns.items()
        }

    def describe(self) -> dict[str, Any]:
        packed = self._source.compression
        wide = {name: width for name, width in self._widths.items() if width > 1 and name not in self._differing}
        lists = {name: {"at_most": self._widths[name]} for name in sorted(self._differing)}
        return {
            "records": "tf.train.Example, features by name",
            **({"vectors": wide} if wide else {}),
            **({"lists": lists} if lists else {}),
            **({"compression": packed} if packed else {}),
        }

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        for column in kinds:
            require_read(column, self.observed[column], self, self._source.field)
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
                example = parse(record.body)
                if example.feature_lists:
                    raise self._sequences()
                yield record, example
        except DecodeError:
            raise self._problem(f"record {number} is no tf.train.Example", number) from None
        except CutOffError as error:
            raise self._problem(f"the file ends inside record {error.record}", error.record) from None
        except DamagedRecordError as error:
            raise self._problem(f"record {error.record} is damaged: {error.why}", error.record) from None

    def _look(self, record: int, features: Any) -> None:
        if len(features) > MAX_COLUMNS:
            require_sound_names(list(features), self._source)
        for name, feature in features.items():
            filled = next((one for one in _LISTS if len(getattr(feature, one).value)), None)
            if filled is None:
                continue
            values = getattr(feature, filled).value
            seen = self._features.setdefault(name, _Feature())
            if len(self._features) > MAX_COLUMNS:
                require_sound_names(list(self._features), self._source)
            seen.count(record, len(values))
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
        seen, width = self._features[name], self._widths[name]
        flat: list[Any] = []
        is_text = seen.list == "bytes_list"
        for record, example in batch:
            feature = example.features.feature.get(name)
            values: Any = ()
            if feature is not None:
                values = feature.bytes_list.value if is_text else feature.float_list.value or feature.int64_list.value
            if not len(values):
                self._require_hole(feature, name, record.number)
            if len(values) > width or (len(values) < width > 1 and name not in self._differing):
                found = Lengths(width, 0, width, record.number, len(values))
                raise lengths_differ(name, self, found, self._source.field)
            flat.extend(values)
            flat.extend([None] * (width - len(values)))
        if is_text:
            return self._texts(flat, width, batch[0][0].number, name).reshape(len(batch), width)
        has_holes = None in flat
        numbers = np.array(flat, dtype=np.float64 if has_holes or seen.list == "float_list" else None)
        return numbers.reshape(len(batch), width)

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

    def _texts(self, values: list[Any], width: int, first: int, name: str) -> Array:
        texts = np.empty(len(values), dtype=object)
        for place, value in enumerate(values):
            try:
                texts[place] = None if value is None or value == b"" else value.decode()
            except UnicodeDecodeError:
                record = first + place // width
                raise self._problem(
                    f"feature {name!r} holds bytes that are no text in record {record}", record
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

    def _sequences(self) -> DataError:
        return DataError(
            "data_format_unsupported",
            f"{self.path.name} holds tf.train.SequenceExample, whose lists of features are not read. Write each step's "
            "list as one feature of a tf.train.Example (flattened, of any length), or numpy.savez(path, x=..., y=...).",
            field=self._source.field,
            file=str(self.path),
        )

    def _problem(self, why: str, record: int) -> DataError:
        return malformed(self.path, "TFRecord", why, field=self._source.field, row=record)


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


def _observed(seen: _Feature, width: int, list_of: str | None) -> Observed:
    if width > MAX_COLUMNS:
        return Observed(None, unread=f"{seen.list} of {width:,} values, and at most {MAX_COLUMNS:,} are read")
    if seen.list == "bytes_list":
        unread = None if seen.is_text else "bytes that are no text, such as an encoded image or tensor"
        return Observed("string" if seen.is_text else None, text=seen.text, unread=unread, list_of=list_of)
    return Observed("number", seen.list == "int64_list", list_of=list_of)


def _is_list(lengths: Lengths) -> bool:
    """Whether a feature has several values here, and another number there."""
    return lengths.differ and lengths.most > 1


def _as_text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)
