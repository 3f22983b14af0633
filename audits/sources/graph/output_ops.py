"""The operation that produces an output, seen through identities, reshapes and calls of functions."""

from typing import Any

from audits.sources.graph.dataflow import IDENTITIES, Dataflow

# They change neither what the numbers mean nor which they are.
TRANSPARENT = IDENTITIES | {"EnsureShape", "Reshape", "Squeeze", "ExpandDims", "Cast"}


class OutputOps:
    """Follows outputs of a meta graph back to the op that made them."""

    def __init__(self, graph: Any) -> None:
        self._flow = Dataflow(graph)

    def behind(self, tensor: str) -> str | None:
        """The op behind a tensor of the graph ("name:index"); None where it cannot be told."""
        found = self._flow.source(tensor, through=TRANSPARENT)
        return None if found is None else found.op
