"""`tf.train.Example`, declared without TensorFlow: what TFRecord files hold and what serving signatures parse.

Field numbers as in tensorflow/core/example/{example,feature}.proto.
"""

from functools import cache
from typing import Any

from audits.sources.protos import Messages, message_class

_MESSAGES: Messages = {
    # a SequenceExample has the same first field, and lists of features besides
    "Example": {"features": (1, "Features"), "feature_lists": (2, "bytes")},
    "Features": {"feature": (1, "map Feature")},
    # one of the three, where the feature has values
    "Feature": {"bytes_list": (1, "BytesList"), "float_list": (2, "FloatList"), "int64_list": (3, "Int64List")},
    "BytesList": {"value": (1, "*bytes")},
    "FloatList": {"value": (1, "*float")},
    "Int64List": {"value": (1, "*int64")},
}


@cache
def example_class() -> type[Any]:
    """The message class `Example`."""
    return message_class(_MESSAGES, "Example", package="fitcheck.example")
