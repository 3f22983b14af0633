"""Protobuf messages declared in Python: the parts of TensorFlow's messages that we read, without TensorFlow."""

from collections.abc import Mapping
from typing import Any, Literal

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "bool": _Field.TYPE_BOOL,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}

# Message -> field -> (number, type). "*" repeats, "map" is map<string, type>.
Messages = Mapping[str, Mapping[str, tuple[int, str]]]


def message_class(
    messages: Messages, name: str, *, package: str, syntax: Literal["proto2", "proto3"] = "proto3"
) -> type[Any]:
    """The class of one of the messages.

    Args:
        messages: it and all that it refers to; a parser skips fields that are not declared.
        name: of the message.
        package: a name of its own for each set of messages.
        syntax: proto2 tells a field that is absent from one that is 0, and accepts text that is not UTF-8.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package.replace('.', '/')}.proto", package=package, syntax=syntax)
    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for field, (number, type_) in fields.items():
            _add_field(message, field, number, type_, package)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
    return found


def _add_field(message: Any, name: str, number: int, type_: str, package: str) -> None:
    if type_.startswith("map "):
        # a map is a repeated entry of key and value in the wire format
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string", package)
        _add_field(entry, "value", 2, type_.removeprefix("map "), package)
        message.field.add(
            name=name,
            number=number,
            label=_Field.LABEL_REPEATED,
            type=_Field.TYPE_MESSAGE,
            type_name=f".{package}.{message.name}.{entry.name}",
        )
        return
    label = _Field.LABEL_REPEATED if type_.startswith("*") else _Field.LABEL_OPTIONAL
    bare = type_.removeprefix("*")
    if bare in _SCALARS:
        message.field.add(name=name, number=number, label=label, type=_SCALARS[bare])
    else:
        message.field.add(
            name=name, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=f".{package}.{bare}"
        )
