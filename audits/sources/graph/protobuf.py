"""Types and shapes in TensorFlow's protobuf messages."""

from typing import Any

import numpy as np

# DataType of tensorflow/core/framework/types.proto, by numpy's name.
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
}
_NOT_OF_NUMPY = frozenset({"string", "bfloat16", "resource", "variant"})


def type_of(number: int) -> str:
    # reference types of TensorFlow 1 are counted from 100
    return _DTYPES.get(number % 100, f"type {number}")


def numpy_type_of(number: int) -> "np.dtype[Any] | None":
    """The type in which a constant's content is written; None where NumPy has none."""
    name = _DTYPES.get(number % 100)
    return None if name is None or name in _NOT_OF_NUMPY else np.dtype(name).newbyteorder("<")


def bytes_of(number: int) -> int:
    """Of one value, at least; texts and handles are as long as they are."""
    if type_of(number) == "bfloat16":
        return 2
    dtype = numpy_type_of(number)
    return 1 if dtype is None else dtype.itemsize


def shape_of(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if d.size < 0 else int(d.size) for d in shape.dimensions)
