"""What the types of Arrow and Parquet are read as: numbers, truth values, texts, time stamps, or not at all."""

from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

MAX_SHOWN_CHARACTERS = 100
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def read_as(type_: Any) -> pa.DataType | None:
    """The plain type that a column is read as; None where it cannot be."""
    if isinstance(type_, pa.BaseExtensionType):
        return read_as(type_.storage_type)
    if pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_):
        return read_as(type_.value_type)
    if pa.types.is_decimal(type_) or pa.types.is_float16(type_) or pa.types.is_time(type_) or _is_duration(type_):
        return pa.float64()
    if pa.types.is_date(type_):
        return pa.timestamp("ns")
    if pa.types.is_string_view(type_):
        return pa.string()
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_timestamp)
    return type_ if any(test(type_) for test in known + texts) else None


def element_of(type_: Any) -> pa.DataType | None:
    """What the values in a column of lists are read as; None for other columns, and for lists of what is not read."""
    if isinstance(type_, pa.BaseExtensionType):
        return element_of(type_.storage_type)
    tests = (
        *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
        *(pa.types.is_list_view, pa.types.is_large_list_view),
    )
    if not any(test(type_) for test in tests):
        return None
    element = read_as(type_.value_type)
    return None if element is None or pa.types.is_timestamp(element) or pa.types.is_null(element) else element


def conversion(type_: pa.DataType) -> str | None:
    """What is done to the values of a column, for the report; None where they are read as they are."""
    if isinstance(type_, pa.BaseExtensionType):
        return f"{said(type_)}, as its storage {said(type_.storage_type)}"
    if pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_):
        return f"{said(type_)}, as its values"
    if pa.types.is_decimal(type_):
        return f"{said(type_)}, as float64"
    if is_bytes(type_):
        return f"{said(type_)}, as UTF-8 text"
    return f"{said(type_)}, in seconds" if pa.types.is_time(type_) or _is_duration(type_) else None


def is_bytes(type_: pa.DataType) -> bool:
    """Whether values are bytes of any number, which may be text: many writers of Parquet do not say so."""
    return pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_)


def as_text(values: "pa.Array[Any]") -> "pa.Array[Any] | None":
    """Bytes as UTF-8 text; None where they are none."""
    try:
        texts = values.cast(pa.large_string())
    except pa.ArrowInvalid:
        return None
    return None if pc.any(pc.match_substring(texts, "\0")).as_py() else texts


def said(type_: pa.DataType) -> str:
    """A type for a sentence."""
    text = str(type_)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 3] + "..."


def decoded(values: "pa.Array[Any]") -> "pa.Array[Any]":
    """The values themselves, of a column that holds them in another way."""
    if isinstance(values, pa.ExtensionArray):
        return decoded(values.storage)
    if isinstance(values, pa.DictionaryArray):
        return decoded(values.dictionary_decode())
    if isinstance(values, pa.RunEndEncodedArray):
        return decoded(pc.call_function("run_end_decode", [values]))
    if pa.types.is_string_view(values.type):
        return values.cast(pa.string())
    if pa.types.is_list_view(values.type) or pa.types.is_large_list_view(values.type):
        return cast("pa.Array[Any]", values.cast(pa.large_list(values.type.value_type)))
    return _seconds(values) if _is_duration(values.type) else values


def decoded_bytes(values: "pa.Array[Any]") -> int:
    """What the texts of a column take once they are decoded, where rows share them; 0 for other columns."""
    if isinstance(values, pa.ExtensionArray):
        return decoded_bytes(values.storage)
    if isinstance(values, pa.DictionaryArray) and _is_of_bytes(values.dictionary.type):
        lengths = pc.call_function("binary_length", [values.dictionary])
        return int(pc.sum(lengths.take(values.indices).cast(pa.int64())).as_py() or 0)
    if isinstance(values, pa.RunEndEncodedArray) and _is_of_bytes(values.values.type):
        return len(values) * int(pc.max(pc.call_function("binary_length", [values.values])).as_py() or 0)
    return 0


def _is_of_bytes(type_: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(type_) for test in tests)


def as_numbers(values: "pa.Array[Any]") -> "pa.Array[Any]":
    """Decoded values with times of day as seconds since midnight, and decimals as float64."""
    if pa.types.is_time(values.type):
        return _seconds(values)
    return values.cast(pa.float64()) if pa.types.is_decimal(values.type) else values


def _seconds(values: "pa.Array[Any]") -> "pa.Array[Any]":
    whole = values.cast(pa.int32() if pa.types.is_time32(values.type) else pa.int64())
    per_second = _PER_SECOND[values.type.unit]
    return cast("pa.Array[Any]", pc.divide(whole.cast(pa.float64(), safe=False), float(per_second)))


def _is_duration(type_: pa.DataType) -> bool:
    return bool(pa.types.is_duration(type_))
