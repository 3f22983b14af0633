"""What of an error's text a client may read.

TensorFlow's messages quote what an op has read, which may be a line of a file that the model found; the same holds for
assertions of the model. So nothing is quoted but messages of known form, made of shapes, types and numbers of the
graph. The whole text goes to the operator's log.
"""

import os
import re

SHOWN_CHARACTERS = 100
_SHAPE = r"\[[\d,? ]*\]"
_KNOWN = re.compile(
    "|".join(
        [
            rf"Matrix size-incompatible: In\[0\]: {_SHAPE}, In\[1\]: {_SHAPE}",
            rf"Incompatible shapes: {_SHAPE} (vs\.|and) {_SHAPE}",
            r"Dimensions must be equal, but are \d+ and \d+",
            rf"indices{_SHAPE} = -?\d+ is not in \[0, \d+\)",
            r"Input to reshape is a tensor with \d+ values, but the requested shape (has|requires a multiple of) \d+",
            r"input (depth )?must be (evenly divisible by filter depth: \d+ vs \d+|\d-dimensional" + _SHAPE + r"?)",
            rf"ConcatOp : Dimensions? \d+ in both shapes must be equal: shape\[\d+\] = {_SHAPE} vs\. "
            rf"shape\[\d+\] = {_SHAPE}",
            r"cannot compute \w{1,60} as input #\d+\(zero-based\) was expected to be an? \w{1,20} tensor but is an? "
            r"\w{1,20} tensor",
            rf"OOM when allocating tensor with shape{_SHAPE}",
            r"(The [Ss]ession )?[Tt]able (is )?not initialized",
            r"Op type not registered '\w{1,100}' in binary",
            r"Failed to find any matching files",
            r"Could not parse example input",
            r"'\w{1,60}' object has no attribute '\w{1,60}'",
            r"Input is not invertible",
            r"Cholesky decomposition was not successful",
            r"Cast string to \w{1,20} is not supported",
        ]
    )
)
_AT_NODE = re.compile(r"\{\{(?:function_)?node ([^}\s]{1,300})\}\}")


def telling(error: BaseException) -> str:
    """The error in words that cannot quote a file: a message of known form, else its kind and where it arose."""
    text = str(error)
    os.write(2, f"{type(error).__name__}: {text}\n".encode("utf-8", "replace"))  # the operator's log reads it
    known = _KNOWN.search(text)
    said = known[0] if known is not None else type(error).__name__
    nodes = _AT_NODE.findall(text)
    where = f" (node {nodes[-1][:SHOWN_CHARACTERS]!a})" if nodes else ""
    rest = "" if known is not None else "; the operator's log has the whole text"
    return f"{said}{where}{rest}."
