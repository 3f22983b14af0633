"""TensorBoard's event files: records (audits.sources.records.framing), each an `Event`.

Fields of the messages as in tensorflow/core/util/event.proto and tensorflow/core/framework/{summary,tensor}.proto.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from audits.sources.protos import Messages, message_class
from audits.sources.records.framing import DamagedRecordError, records

# Scalars need some hundred bytes; graphs, images and histograms are passed over unread.
MAX_RECORD_BYTES = 16 * 2**10
# In all event files of a run; reading so many takes some seconds.
MAX_RECORDS = 1_000_000

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
        for record in records(file, max_bytes=MAX_RECORD_BYTES):
            budget.spend()
            if record.body is None:
                continue
            try:
                event = _event_class().FromString(record.body)
            except DecodeError:
                raise DamagedRecordError(record.number, "it is no Event") from None
            found = [(v.tag.decode("utf-8", "replace"), v) for v in event.summary.values]
            named = [(tag, value) for tag, value in found if wanted(tag)]
            if named and not record.is_sound:
                raise DamagedRecordError(record.number, "its checksum is wrong")
            for tag, value in named:
                number = _number(value)
                if number is not None:
                    yield Scalar(tag, event.step, event.wall_time, number, record.number)


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
