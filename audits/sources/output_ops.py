"""The operation that produces an output, seen through identities, reshapes and calls of functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# They change neither what the numbers mean nor which they are.
TRANSPARENT = frozenset(
    {
        "Identity",
        "IdentityN",
        "StopGradient",
        "PreventGradient",
        "CheckNumerics",
        "EnsureShape",
        "Reshape",
        "Squeeze",
        "ExpandDims",
        "Cast",
        "Snapshot",
    }
)
CALLS = frozenset({"StatefulPartitionedCall", "PartitionedCall"})
MAX_STEPS = 1_000


@dataclass(frozen=True)
class _Scope:
    """The graph, or one call of a function in it.

    Attributes:
        nodes: by name.
        function: the called function; None in the graph itself.
        call: the node that called it, in `outer`.
    """

    nodes: Mapping[str, Any]
    function: Any = None
    call: Any = None
    outer: "_Scope | None" = None


class OutputOps:
    """Follows outputs of a meta graph back to the op that made them."""

    def __init__(self, graph: Any) -> None:
        self._graph = _Scope({node.name: node for node in graph.nodes})
        self._functions = {function.signature.name: function for function in graph.library.functions}
        self._nodes_of: dict[str, Mapping[str, Any]] = {}

    def behind(self, tensor: str) -> str | None:
        """The op behind a tensor of the graph ("name:index"); None where it cannot be told."""
        scope, reference = self._graph, tensor
        for _ in range(MAX_STEPS):
            step = self._step(scope, reference)
            if step is None or isinstance(step, str):
                return step
            scope, reference = step
        return None

    def _step(self, scope: _Scope, reference: str) -> "tuple[_Scope, str] | str | None":
        """The op, or where to look on."""
        name, index = _parse(reference)
        node = scope.nodes.get(name)
        if node is None:
            return self._from_caller(scope, name)
        called = self._called(node)
        if called is not None:
            inner = _Scope(self._nodes(called), called, node, scope)
            outputs = called.signature.outputs
            return (inner, called.returns[outputs[index].name]) if index < len(outputs) else None
        if node.op in TRANSPARENT:
            inputs = _data_inputs(node)
            place = index if node.op == "IdentityN" else 0
            return (scope, inputs[place]) if place < len(inputs) else None
        return str(node.op)

    def _from_caller(self, scope: _Scope, argument: str) -> "tuple[_Scope, str] | None":
        """A function's argument is what its caller passed."""
        if scope.function is None or scope.outer is None:
            return None
        names = [given.name for given in scope.function.signature.inputs]
        inputs = _data_inputs(scope.call)
        if argument not in names or names.index(argument) >= len(inputs):
            return None
        return scope.outer, inputs[names.index(argument)]

    def _called(self, node: Any) -> Any:
        if node.op in CALLS and "f" in node.attributes:
            return self._functions.get(node.attributes["f"].function.name)
        return self._functions.get(node.op)

    def _nodes(self, function: Any) -> Mapping[str, Any]:
        name = function.signature.name
        if name not in self._nodes_of:
            self._nodes_of[name] = {node.name: node for node in function.nodes}
        return self._nodes_of[name]


def _parse(reference: str) -> tuple[str, int]:
    """Graphs write "node:index", functions "node:output:index" or an argument's name."""
    parts = reference.split(":")
    return parts[0], int(parts[-1]) if len(parts) > 1 and parts[-1].isdecimal() else 0


def _data_inputs(node: Any) -> list[str]:
    return [name for name in node.inputs if not name.startswith("^")]
