"""The operation that produces an output, seen through identities, reshapes, concatenations and calls of functions."""

from typing import Any

from audits.sources.graph.dataflow import IDENTITIES, Dataflow, Tensor

# They change neither what the numbers mean nor which they are.
TRANSPARENT = IDENTITIES | {"EnsureShape", "Reshape", "Squeeze", "ExpandDims", "Cast", "Transpose", "StridedSlice"}
# Their parts mean the same if all are made by the same op; the last input of ConcatV2 is the axis.
JOINS = frozenset({"ConcatV2", "Pack"})
MAX_DEPTH = 8


class OutputOps:
    """Follows outputs of a meta graph back to the op that made them."""

    def __init__(self, graph: Any) -> None:
        self._flow = Dataflow(graph)

    def behind(self, tensor: str) -> str | None:
        """The op behind a tensor of the graph ("name:index"); None where it cannot be told."""
        found = self._flow.source(tensor, through=TRANSPARENT)
        return None if found is None else self._op(found, MAX_DEPTH)

    def _op(self, tensor: Tensor, depth: int) -> str:
        if tensor.op not in JOINS or depth == 0:
            return tensor.op
        parts = self._flow.inputs(tensor, through=TRANSPARENT)
        parts = parts[:-1] if tensor.op == "ConcatV2" else parts
        ops = {None if part is None else self._op(part, depth - 1) for part in parts}
        only = ops.pop() if len(ops) == 1 else None
        return only or tensor.op
