"""TensorBoard's event files: records framed by lengths and checksums, each an `Event`.

A record is its length (uint64), the length's masked CRC-32C, the bytes, and their masked CRC-32C, all little-endian
(https://www.tensorflow.org/tutorials/load_data/tfrecord). Fields of the messages as in
tensorflow/core/util/event.proto and tensorflow/core/framework/{summary,tensor}.proto.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from google.protobuf.message import DecodeError

from audits.sources.protos import Messages, message_class

# Scalars need some hundred bytes; graphs, images and histograms are passed over unread.
MAX_RECORD_BYTES = 16 * 2**10
# In all event files of a run; reading so many takes some seconds.
MAX_RECORDS = 1_000_000

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_POLYNOMIAL = 0x82F63B78
_MESSAGES: Messages = {
    "Event": {"wall_time": (1, "double"), "step": (2, "int64"), "summary": (5, "Summary")},
    "Summary": {"values": (1, "*Value")},
    "Value": {"tag": (1, "bytes"), "simple": (2, "float"), "tensor": (8, "Tensor")},
    "Tensor": {
        "dtype": (1, "int32"),
        "shape": (2, "Shape"),
        "content": (4, "bytes"),
        "floats": (5, "*float"),
        "doubles": (6, "*double"),
        "ints": (7, "*int32"),
        "longs": (10, "*int64"),
        "halves": (13, "*int32"),
    },
    "Shape": {"dimensions": (2, "*Dimension")},
    "Dimension": {"size": (1, "int64")},
}
# DataType -> where the values stand, and numpy's type of the bytes in `content`.
_TYPES = {
    1: ("floats", "<f4"),
    2: ("doubles", "<f8"),
    3: ("ints", "<i4"),
    9: ("longs", "<i8"),
    14: ("halves", "<u2"),
    19: ("halves", "<f2"),
}
_BFLOAT16, _HALF = 14, 19


@dataclass(frozen=True)
class Scalar:
    """One number of a log.

    Attributes:
        tag: its name.
        step: the epoch, or whatever was counted.
        wall_time: seconds since 1970 when it was written.
        value: may be NaN or infinite.
        record: in the file, counted from 0.
    """

    tag: str
    step: int
    wall_time: float
    value: float
    record: int


class DamagedRecordError(Exception):
    """A record whose checksum is wrong and that others follow."""

    def __init__(self, record: int, why: str) -> None:
        super().__init__(why)
        self.record, self.why = record, why


class CutOffError(Exception):
    """The file ends inside a record, as when the run was killed; what stands before it is sound."""

    def __init__(self, record: int) -> None:
        super().__init__(f"record {record} is cut off")
        self.record = record


class TooManyRecordsError(Exception):
    """The budget is spent."""


@dataclass
class Budget:
    """Records that may still be read."""

    left: int = MAX_RECORDS

    def spend(self) -> None:
        if self.left <= 0:
            raise TooManyRecordsError
        self.left -= 1


def scalars(path: Path, wanted: Callable[[str], bool], budget: Budget) -> Iterator[Scalar]:
    """The scalars of an event file whose tag is wanted, in file order.

    Raises:
        CutOffError: after the last whole record.
        DamagedRecordError: at a record that is not what was written.
        TooManyRecordsError: the budget is spent.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for record, data in _records(file, path.stat().st_size):
            budget.spend()
            if data is None:
                continue
            body, checksum = data
            try:
                event = _event_class().FromString(body)
            except DecodeError:
                raise DamagedRecordError(record, "it is no Event") from None
            found = [(v.tag.decode("utf-8", "replace"), v) for v in event.summary.values]
            named = [(tag, value) for tag, value in found if wanted(tag)]
            # the checksum in pure Python is slow: only of records that count
            if named and masked_crc(body) != checksum:
                raise DamagedRecordError(record, "its checksum is wrong")
            for tag, value in named:
                number = _number(value)
                if number is not None:
                    yield Scalar(tag, event.step, event.wall_time, number, record)


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, tuple[bytes, int] | None]]:
    """Number, and bytes with their checksum; None in place of a record too large for scalars."""
    at = record = 0
    while at < size:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or not any(header):
            # a file system that crashed leaves zeros where the end should be
            raise CutOffError(record)
        length, checksum = _HEADER.unpack(header)
        if masked_crc(header[:8]) != checksum:
            raise DamagedRecordError(record, "the checksum of its length is wrong")
        after = at + _HEADER.size + length + _CHECKSUM.size
        if after > size:
            raise CutOffError(record)
        if length > MAX_RECORD_BYTES:
            file.seek(after)
            yield record, None
        else:
            body = file.read(length)
            yield record, (body, _CHECKSUM.unpack(file.read(_CHECKSUM.size))[0])
        at, record = after, record + 1


def _number(value: Any) -> float | None:
    """Of a summary; None where it holds no single number."""
    if value.HasField("simple"):
        return float(value.simple)
    if not value.HasField("tensor") or value.tensor.dtype not in _TYPES:
        return None
    tensor = value.tensor
    if any(dimension.size != 1 for dimension in tensor.shape.dimensions):
        return None
    field, dtype = _TYPES[tensor.dtype]
    if tensor.content:
        raw = tensor.content
        if len(raw) != np.dtype(dtype).itemsize:
            return None
        number = np.frombuffer(raw, dtype=dtype)[0]
    else:
        values = getattr(tensor, field)
        if len(values) > 1:
            return None
        # an absent value is the type's zero
        number = values[0] if values else 0
        if tensor.dtype == _HALF:
            number = np.array([number & 0xFFFF], dtype="<u2").view("<f2")[0]
    if tensor.dtype == _BFLOAT16:
        number = np.array([int(number) << 16 & 0xFFFFFFFF], dtype="<u4").view("<f4")[0]
    return float(number)


@cache
def _event_class() -> type[Any]:
    return message_class(_MESSAGES, "Event", package="fitcheck.events", syntax="proto2")


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (_POLYNOMIAL if rest & 1 else 0)
        table.append(rest)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), RFC 3720, appendix B.4."""
    table, rest = _table(), 0xFFFFFFFF
    for byte in data:
        rest = table[(rest ^ byte) & 0xFF] ^ rest >> 8
    return rest ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """The checksum as records hold it: turned and moved, so that checksums of checksums do not go wrong."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
