"""Messages between the evaluator and the model's process: a JSON header and raw little-endian arrays.

A frame is the length of the header (4 bytes, little-endian), the header (UTF-8 JSON), and the bytes of the arrays
that it lists, in that order. Text arrays are the lengths of their strings (uint32) and then the strings' UTF-8
bytes. Nothing is ever unpickled, and every length is held against a limit before memory is taken for it: the
model's process may have been taken over by the model.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from audits.artefacts import Array

MAX_HEADER_BYTES = 2**20
MAX_ARRAY_BYTES = 2**30  # of all arrays of a frame
MAX_RANK = 32
TEXT = "string"
DTYPES = frozenset(
    {"bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)
_LENGTH = struct.Struct("<I")


class Connection(Protocol):
    """A socket, or what behaves as one."""

    def recv_into(self, view: memoryview, /) -> int: ...

    def sendall(self, data: bytes | memoryview, /) -> None: ...


class FrameError(Exception):
    """The other side sent what is no frame, or more than is allowed."""


class ClosedError(FrameError):
    """The other side is gone."""


@dataclass(frozen=True)
class Frame:
    """A message: JSON values, and arrays by name."""

    header: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)


def send(connection: Connection, frame: Frame) -> None:
    """Write a frame.

    Raises:
        ClosedError: the other side is gone.
        FrameError: an array's type cannot be sent, or the arrays are larger than the other side takes.
    """
    parts = {name: _encode(name, array) for name, array in frame.arrays.items()}
    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "dtype": dtype,
            "shape": list(frame.arrays[name].shape),
            "bytes": sum(memoryview(blob).nbytes for blob in blobs),
        }
        for name, (dtype, blobs) in parts.items()
    ]
    header = json.dumps({"header": dict(frame.header), "arrays": listed}).encode()
    if len(header) > MAX_HEADER_BYTES or sum(entry["bytes"] for entry in listed) > MAX_ARRAY_BYTES:
        raise FrameError("larger than allowed")
    try:
        connection.sendall(_LENGTH.pack(len(header)) + header)
        for _, blobs in parts.values():
            for blob in blobs:
                connection.sendall(blob)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError("closed while writing") from error


def receive(connection: Connection, *, max_array_bytes: int = MAX_ARRAY_BYTES, texts_as_bytes: bool = False) -> Frame:
    """Read a frame.

    Args:
        connection: to read from.
        max_array_bytes: of all arrays together.
        texts_as_bytes: leave texts as they came. To TensorFlow, a text is any bytes, such as a serialized message.

    Raises:
        ClosedError: the other side is gone.
        FrameError: what came is no frame, or its arrays are larger than allowed.
    """
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    if length > MAX_HEADER_BYTES:
        raise FrameError(f"a header of {length:,} bytes")
    try:
        message = json.loads(bytes(_read(connection, length)))
        header, listed = message["header"], message["arrays"]
        plans = [_plan(entry) for entry in listed]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FrameError("a header that cannot be read") from error
    if not isinstance(header, dict) or sum(plan.n_bytes for plan in plans) > max_array_bytes:
        raise FrameError("arrays larger than allowed")
    text: Callable[[bytes], Any] = bytes if texts_as_bytes else _as_str
    return Frame(header, {plan.name: _decode(plan, _read(connection, plan.n_bytes), text) for plan in plans})


@dataclass(frozen=True)
class _Plan:
    """An array that is about to come."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    n_bytes: int


def _plan(entry: Mapping[str, Any]) -> _Plan:
    name, dtype, shape, n_bytes = entry["name"], entry["dtype"], entry["shape"], entry["bytes"]
    sizes_are_sound = len(shape) <= MAX_RANK and all(type(size) is int and size >= 0 for size in (*shape, n_bytes))
    if not isinstance(name, str) or not sizes_are_sound or dtype not in DTYPES | {TEXT}:
        raise ValueError("an array that cannot be")
    count = math.prod(shape)
    fits = n_bytes >= 4 * count if dtype == TEXT else n_bytes == count * np.dtype(dtype).itemsize
    if not fits:
        raise ValueError("an array of another size than its shape")
    return _Plan(name, dtype, tuple(shape), n_bytes)


def _encode(name: str, array: Array) -> tuple[str, list[memoryview | bytes]]:
    if array.dtype.kind in "OUS":
        texts = [_utf8(value) for value in array.ravel()]
        return TEXT, [np.array([len(text) for text in texts], dtype="<u4").tobytes(), b"".join(texts)]
    dtype = array.dtype.name
    if dtype not in DTYPES:
        raise FrameError(f"array {name!r} of the type {dtype}")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return dtype, [little.reshape(-1).view(np.uint8).data]


def _utf8(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def _as_str(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _decode(plan: _Plan, raw: bytearray, text: Callable[[bytes], Any]) -> Array:
    if plan.dtype != TEXT:
        return np.frombuffer(raw, dtype=np.dtype(plan.dtype).newbyteorder("<")).reshape(plan.shape)
    count = math.prod(plan.shape)
    ends = np.cumsum(np.frombuffer(raw, dtype="<u4", count=count), dtype=np.int64) + 4 * count
    if count and ends[-1] != len(raw):
        raise FrameError("texts of other lengths than announced")
    starts = [4 * count, *ends[:-1].tolist()] if count else []
    texts = np.empty(count, dtype=object)
    texts[:] = [text(bytes(raw[first:last])) for first, last in zip(starts, ends.tolist(), strict=True)]
    return texts.reshape(plan.shape)


def _read(connection: Connection, n_bytes: int) -> bytearray:
    """Exactly so many bytes."""
    buffer = bytearray(n_bytes)
    view, done = memoryview(buffer), 0
    while done < n_bytes:
        try:
            got = connection.recv_into(view[done:])
        except ConnectionResetError as error:
            raise ClosedError("reset while reading") from error
        if got == 0:
            raise ClosedError("closed while reading")
        done += got
    return buffer
