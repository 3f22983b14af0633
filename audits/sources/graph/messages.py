"""The parts of TensorFlow's protobuf messages that a description of the model needs, declared without TensorFlow.

Field numbers as in tensorflow/core/protobuf/{saved_model,meta_graph,saved_object_graph}.proto and
tensorflow/core/framework/{graph,function,node_def,attr_value,op_def,tensor,tensor_shape}.proto. The parser skips other
fields.
"""

from functools import cache
from typing import Any

from audits.sources.protos import Messages, message_class

_MESSAGES: Messages = {
    "SavedModel": {"meta_graphs": (2, "*MetaGraph")},
    "MetaGraph": {
        "meta_info": (1, "MetaInfo"),
        "graph": (2, "Graph"),
        "saver": (3, "Saver"),
        "collections": (4, "map Collection"),
        "signatures": (5, "map Signature"),
        "assets": (6, "*Asset"),
        "objects": (7, "ObjectGraph"),
    },
    "Saver": {"filename": (1, "string"), "save_tensor": (2, "string"), "restore_op": (3, "string")},
    "Collection": {"node_list": (1, "NodeList"), "any_list": (5, "AnyList")},
    "AnyList": {"value": (1, "*Any")},
    "Any": {"value": (2, "bytes")},
    "NodeList": {"value": (1, "*string")},
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
    "List": {
        "strings": (2, "*bytes"),
        "ints": (3, "*int64"),
        "floats": (4, "*float"),
        "types": (6, "*int32"),
        "shapes": (7, "*Shape"),
        "functions": (9, "*FunctionName"),
    },
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
        "halves": (13, "*int32"),
    },
    "FunctionName": {"name": (1, "string")},
    "Signature": {"inputs": (1, "map Tensor"), "outputs": (2, "map Tensor"), "method": (3, "string")},
    "Tensor": {"name": (1, "string"), "dtype": (2, "int32"), "shape": (3, "Shape"), "sparse": (4, "Sparse")},
    "Sparse": {"values": (1, "string"), "indices": (2, "string"), "dense_shape": (3, "string")},
    "Shape": {"dimensions": (2, "*Dimension"), "unknown_rank": (3, "bool")},
    "Dimension": {"size": (1, "int64")},
    "ObjectGraph": {"nodes": (1, "*Object"), "functions": (2, "map Captures")},
    "Captures": {"bound_inputs": (2, "*int32")},
    "Object": {
        "children": (1, "*Child"),
        "asset": (5, "SavedAsset"),
        "function": (6, "SavedFunction"),
        "variable": (7, "Variable"),
        "concrete": (8, "ConcreteFunction"),
    },
    "SavedAsset": {"index": (1, "int32")},
    "Child": {"node": (1, "int32"), "name": (2, "string")},
    "SavedFunction": {"concrete": (1, "*string")},
    "ConcreteFunction": {"name": (1, "string")},
    "Variable": {"dtype": (1, "int32"), "shape": (2, "Shape"), "trainable": (3, "bool"), "name": (6, "string")},
}


@cache
def saved_model_class() -> type[Any]:
    """The message class `SavedModel`."""
    return message_class(_MESSAGES, "SavedModel", package="fitcheck.saved_model")


@cache
def asset_class() -> type[Any]:
    """The message class `AssetFileDef`, which graphs of TensorFlow 1 pack into a collection."""
    return message_class(_MESSAGES, "Asset", package="fitcheck.asset")
