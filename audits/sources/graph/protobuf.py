"""Types and shapes in TensorFlow's protobuf messages."""

from typing import Any

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


def type_of(number: int) -> str:
    # reference types of TensorFlow 1 are counted from 100
    return _DTYPES.get(number % 100, f"type {number}")


def shape_of(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if d.size < 0 else int(d.size) for d in shape.dimensions)
