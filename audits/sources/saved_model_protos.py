"""The parts of TensorFlow's protobuf messages that a description of the model needs, declared without TensorFlow.

Field numbers as in tensorflow/core/protobuf/{saved_model,meta_graph,saved_object_graph}.proto and
tensorflow/core/framework/{graph,function,node_def,attr_value,op_def,tensor,tensor_shape}.proto. The parser skips other
fields.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "fitcheck.saved_model"
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
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "SavedModel": {"meta_graphs": (2, "*MetaGraph")},
    "MetaGraph": {
        "meta_info": (1, "MetaInfo"),
        "graph": (2, "Graph"),
        "saver": (3, "Saver"),
        "signatures": (5, "map Signature"),
        "assets": (6, "*Asset"),
        "objects": (7, "ObjectGraph"),
    },
    "Saver": {"restore_op": (3, "string")},
    "Asset": {"tensor": (1, "AssetTensor"), "filename": (2, "string")},
    "AssetTensor": {"name": (1, "string")},
    "MetaInfo": {"tags": (4, "*string"), "tensorflow_version": (5, "string")},
    "Graph": {"nodes": (1, "*Node"), "library": (2, "Library")},
    "Library": {"functions": (1, "*Function")},
    "Function": {"signature": (1, "Op"), "nodes": (3, "*Node"), "returns": (4, "map string")},
    "Op": {"name": (1, "string"), "inputs": (2, "*Argument"), "outputs": (3, "*Argument")},
    "Argument": {"name": (1, "string")},
    "Node": {"name": (1, "string"), "op": (2, "string"), "inputs": (3, "*string"), "attributes": (5, "map Attribute")},
    "Attribute": {
        "list": (1, "List"),
        "bytes": (2, "bytes"),
        "int": (3, "int64"),
        "float": (4, "float"),
        "type": (6, "int32"),
        "shape": (7, "Shape"),
        "constant": (8, "Constant"),
        "function": (10, "FunctionName"),
    },
    "List": {"floats": (4, "*float")},
    "Constant": {
        "dtype": (1, "int32"),
        "shape": (2, "Shape"),
        "content": (4, "bytes"),
        "floats": (5, "*float"),
        "doubles": (6, "*double"),
        "ints": (7, "*int32"),
        "strings": (8, "*bytes"),
        "longs": (10, "*int64"),
        "bools": (11, "*bool"),
    },
    "FunctionName": {"name": (1, "string")},
    "Signature": {"inputs": (1, "map Tensor"), "outputs": (2, "map Tensor")},
    "Tensor": {"name": (1, "string"), "dtype": (2, "int32"), "shape": (3, "Shape"), "sparse": (4, "Sparse")},
    "Sparse": {"values": (1, "string")},
    "Shape": {"dimensions": (2, "*Dimension"), "unknown_rank": (3, "bool")},
    "Dimension": {"size": (1, "int64")},
    "ObjectGraph": {"nodes": (1, "*Object")},
    "Object": {"variable": (7, "Variable")},
    "Variable": {"dtype": (1, "int32"), "shape": (2, "Shape"), "trainable": (3, "bool"), "name": (6, "string")},
}


@cache
def saved_model_class() -> type[Any]:
    """The message class `SavedModel`."""
    file = descriptor_pb2.FileDescriptorProto(name="fitcheck/saved_model.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, type_) in fields.items():
            _add_field(message, field, number, type_)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message_class: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.SavedModel"))
    return message_class


def _add_field(message: Any, name: str, number: int, type_: str) -> None:
    if type_.startswith("map "):
        # a map is a repeated entry of key and value in the wire format
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, type_.removeprefix("map "))
        message.field.add(
            name=name,
            number=number,
            label=_Field.LABEL_REPEATED,
            type=_Field.TYPE_MESSAGE,
            type_name=f".{_PACKAGE}.{message.name}.{entry.name}",
        )
        return
    label = _Field.LABEL_REPEATED if type_.startswith("*") else _Field.LABEL_OPTIONAL
    bare = type_.removeprefix("*")
    if bare in _SCALARS:
        message.field.add(name=name, number=number, label=label, type=_SCALARS[bare])
    else:
        message.field.add(
            name=name, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=f".{_PACKAGE}.{bare}"
        )
