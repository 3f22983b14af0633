"""Single values that a model takes besides its rows: training switches, keep probabilities, and their defaults."""

import re
from typing import Any

from audits.artefacts import FixedInput
from audits.sources.graph.protobuf import shape_of, type_of
from audits.sources.graph.reach import Reach
from audits.sources.graph.values import constant

_TRAINING = re.compile(r"train|learning_?phase|is_?dropout|phase", re.IGNORECASE)
_KEEP = re.compile(r"keep", re.IGNORECASE)
_DROP = re.compile(r"drop", re.IGNORECASE)


def fixed_inputs(graph: Any, definition: Any, reach: Reach) -> tuple[FixedInput, ...]:
    """Scalars with a default of their own or an obvious one: of the signature, and placeholders that it forgot."""
    nodes = {node.name: node for node in graph.nodes}
    fed = {tensor.name.split(":")[0] for tensor in definition.inputs.values()}
    found = []
    for name, tensor in sorted(definition.inputs.items()):
        shape = shape_of(tensor.shape)
        is_switch = shape is None and type_of(tensor.dtype) == "bool"
        if (shape == () or is_switch) and not tensor.HasField("sparse"):
            found.append(_with_default(name, type_of(tensor.dtype), nodes.get(tensor.name.split(":")[0]), nodes))
    for node in reach.scopes[0].nodes.values():
        if node.op == "Placeholder" and node.name not in fed and not _is_part_of_sparse(node.name, definition):
            shape = shape_of(node.attributes["shape"].shape) if "shape" in node.attributes else None
            one = _obvious(node.name, type_of(node.attributes["dtype"].type)) if not shape else None
            found.append(one and FixedInput(one.name, one.dtype, one.value, one.reason, f"{node.name}:0"))
    return tuple(one for one in found if one is not None)


def unfed_placeholders(definition: Any, reach: Reach, fixed: tuple[FixedInput, ...]) -> list[str]:
    """Placeholders that the outputs need, and that neither the signature nor a default feeds."""
    fed = {tensor.name.split(":")[0] for tensor in definition.inputs.values()}
    fed |= {one.tensor.split(":")[0] for one in fixed if one.tensor is not None}
    return sorted(
        node.name
        for node in reach.scopes[0].nodes.values()
        if node.op == "Placeholder" and node.name not in fed and not _is_part_of_sparse(node.name, definition)
    )


def _with_default(name: str, dtype: str, node: Any, nodes: dict[str, Any]) -> FixedInput | None:
    if node is not None and node.op == "PlaceholderWithDefault":
        origin = nodes.get(node.inputs[0].split(":")[0])
        value = constant(origin.attributes["value"]) if origin is not None and origin.op == "Const" else None
        if value is not None and value.size == 1 and value.dtype != object:
            default = value.ravel()[0].item()
            return FixedInput(name, dtype, bool(default) if dtype == "bool" else default, "the graph's own default")
    return _obvious(name, dtype)


def _obvious(name: str, dtype: str) -> FixedInput | None:
    """What a model is told when it predicts."""
    value: bool | float | None = None
    if dtype in {"bool", "int32", "uint8"} and _TRAINING.search(name):
        value = False if dtype == "bool" else 0
    elif dtype.startswith("float") and _KEEP.search(name):
        value = 1.0
    elif dtype.startswith("float") and _DROP.search(name):
        value = 0.0
    return None if value is None else FixedInput(name, dtype, value, "by its name, as a model that predicts needs it")


def _is_part_of_sparse(node: str, definition: Any) -> bool:
    parts = [
        part
        for tensor in definition.inputs.values()
        if tensor.HasField("sparse")
        for part in (tensor.sparse.values, tensor.sparse.indices, tensor.sparse.dense_shape)
    ]
    return node in {part.split(":")[0] for part in parts}
