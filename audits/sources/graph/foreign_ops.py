"""Ops that stock TensorFlow cannot run: of other hardware, of other libraries, or of the user."""

import re
from collections.abc import Mapping

from schemas.problem import ModelError

# Pattern of the op's name -> where it is from, and what to do.
_ORIGINS: Mapping[str, tuple[str, str]] = {
    r"TRT|.*TRTResource|.*TRTEngine|GetCalibrationDataOp$": (
        "TensorRT, which needs an NVIDIA GPU and its own build of TensorFlow",
        "give the SavedModel that was converted with TensorRT, which holds the same weights",
    ),
    r"_?Dml|_?DML": ("TensorFlow-DirectML", "export the model with stock TensorFlow"),
    r"_?Neuron": ("AWS Neuron", "give the SavedModel from before it was compiled for Inferentia"),
    r"_?Habana": ("Intel Gaudi", "export the model from before it was compiled for Gaudi"),
    r"_?(Ipu|IPU)": ("Graphcore's TensorFlow", "export the model for CPU"),
    r"_?(NGraph|nGraph|OVEP|OpenVINO)": ("OpenVINO", "give the SavedModel from before it was converted"),
    r"_?(ITEX|Itex|OneDnn)": ("Intel's extension of TensorFlow", "export the model without it"),
    r"_?(Zen|VitisAI)": ("AMD's build of TensorFlow", "export the model with stock TensorFlow"),
    r"Horovod": ("Horovod, which trains on many machines", "export a graph for serving, without its training part"),
    r"Addons>": ("TensorFlow Addons", "replace its layers by those of Keras and export the model again"),
    r"SimpleML": ("TensorFlow Decision Forests", "TensorFlow alone cannot run its forests; export another model"),
    r"TFRA>": (
        "TensorFlow Recommenders Addons",
        "replace its tables by those of TensorFlow and export the model again",
    ),
    r"IO>": ("TensorFlow I/O", "export a signature that takes tensors, without its readers"),
    r"Sentencepiece|.*[Tt]okeniz|NormalizeUTF8|CaseFoldUTF8|.*Wordpiece|ConstrainedSeq|RoundRobinTrim|SplitMerge": (
        "TensorFlow Text",
        "export a signature that takes tokens, and tokenise the data before",
    ),
}
# Registered by stock TensorFlow, but nothing runs them without the hardware.
_BOUND_TO_HARDWARE = re.compile(r".*TPU|Infeed|Outfeed")
_OF_TPU = (
    "a graph compiled for TPUs",
    "export the model for CPU or GPU (export_to_tpu=False), or name the tags of such a graph in model.tags",
)


def require_known_ops(ops: Mapping[str, str], reached: frozenset[str]) -> None:
    """Refuse what is known to run nowhere but with other hardware or libraries.

    What no pattern names is held against TensorFlow's registry in the model's process, before the model is loaded.

    Args:
        ops: every op of the graph and its functions -> a node of it.
        reached: those that run when the signature is called.

    Raises:
        ModelError: `op_unsupported`, with the op.
    """
    for op in sorted(reached):
        if _BOUND_TO_HARDWARE.match(op):
            raise unsupported(op, ops.get(op, op))
    for op in sorted(ops):
        if _origin(op) not in {None, _OF_TPU}:
            raise unsupported(op, ops[op])


def is_foreign(op: str) -> bool:
    """Whether the op is of other hardware or another library, about which there is more to say."""
    return _origin(op) is not None


def unsupported(op: str, node: str | None = None) -> ModelError:
    """The problem of an op that cannot run here."""
    where = f" (node {node[:100]!r})" if node and node != op else ""
    origin = _origin(op)
    if origin is not None:
        of, action = origin
        detail = f"The graph holds the op {op!r}{where}, which is of {of}. TensorFlow here cannot run it: {action}."
    else:
        detail = (
            f"The graph holds the op {op!r}{where}, which the TensorFlow here does not have: it is a custom op or one "
            "of a newer version. Export the model without it."
        )
    return ModelError("op_unsupported", detail, field="model.uri", op=op)


def _origin(op: str) -> tuple[str, str] | None:
    if _BOUND_TO_HARDWARE.match(op):
        return _OF_TPU
    return next((origin for pattern, origin in _ORIGINS.items() if re.match(pattern, op)), None)
