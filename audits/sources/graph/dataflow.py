"""Where a tensor of a graph comes from, seen through calls of functions.

A SavedModel of TensorFlow 2 is a graph of a few nodes that call functions, which call functions. Here a node is one
node of one call, so that what is passed in and what comes out can be followed as if everything stood in one graph.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CALLS = frozenset({"StatefulPartitionedCall", "PartitionedCall"})
IDENTITIES = frozenset({"Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot"})
MAX_STEPS = 1_000
MAX_NODES = 200_000


@dataclass(frozen=True, eq=False)
class Scope:
    """The graph, or one call of a function in it.

    Attributes:
        nodes: by name.
        function: the called function; None in the graph itself.
        call: the node that called it, in `outer`.
    """

    nodes: Mapping[str, Any]
    function: Any = None
    call: Any = None
    outer: "Scope | None" = None


@dataclass(frozen=True)
class Tensor:
    """An output of a node in a scope."""

    scope: Scope
    node: Any
    index: int

    @property
    def op(self) -> str:
        return str(self.node.op)

    @property
    def key(self) -> tuple[int, str, int]:
        """Equal for equal tensors; nodes of protobuf have no hash."""
        return id(self.scope), self.node.name, self.index


class Dataflow:
    """Follows tensors of a graph back to what made them."""

    def __init__(self, graph: Any) -> None:
        self.graph = Scope({node.name: node for node in graph.nodes})
        self._functions = {function.signature.name: function for function in graph.library.functions}
        self._nodes_of: dict[str, Mapping[str, Any]] = {}
        self._scopes: dict[tuple[int, str], Scope] = {}

    def source(
        self, reference: str, scope: Scope | None = None, *, through: frozenset[str] = IDENTITIES
    ) -> Tensor | None:
        """The tensor behind a reference, past calls and the ops of `through`; None where it cannot be told."""
        at: tuple[Scope, str] | None = (scope or self.graph, reference)
        for _ in range(MAX_STEPS):
            if at is None:
                return None
            found = self._step(*at, through)
            if isinstance(found, Tensor):
                return found
            at = found
        return None

    def inputs(self, tensor: Tensor, *, through: frozenset[str] = IDENTITIES) -> list[Tensor | None]:
        """What the tensor's node takes, in order."""
        return [self.source(name, tensor.scope, through=through) for name in data_inputs(tensor.node)]

    def behind(self, references: Sequence[str]) -> Iterator[Tensor]:
        """Every node that these tensors follow from, once each."""
        waiting = [found for reference in references if (found := self.source(reference)) is not None]
        seen: set[tuple[int, str]] = set()
        while waiting and len(seen) < MAX_NODES:
            tensor = waiting.pop()
            if tensor.key[:2] in seen:
                continue
            seen.add(tensor.key[:2])
            yield tensor
            waiting.extend(found for found in self.inputs(tensor) if found is not None)

    def calls(self) -> Iterator[Scope]:
        """Every call of a function in the graph itself."""
        for node in self.graph.nodes.values():
            called = self._called(node)
            if called is not None:
                yield self._inner(self.graph, node, called)

    def _step(self, scope: Scope, reference: str, through: frozenset[str]) -> "Tensor | tuple[Scope, str] | None":
        """The tensor, or where to look on."""
        name, index = parse(reference)
        node = scope.nodes.get(name)
        if node is None:
            return self._from_caller(scope, name)
        called = self._called(node)
        if called is not None:
            outputs = called.signature.outputs
            if index >= len(outputs):
                return None
            return self._inner(scope, node, called), called.returns[outputs[index].name]
        if node.op in through:
            inputs = data_inputs(node)
            place = index if node.op == "IdentityN" else 0
            return (scope, inputs[place]) if place < len(inputs) else None
        return Tensor(scope, node, index)

    def _from_caller(self, scope: Scope, argument: str) -> "tuple[Scope, str] | None":
        """A function's argument is what its caller passed."""
        if scope.function is None or scope.outer is None:
            return None
        names = [given.name for given in scope.function.signature.inputs]
        inputs = data_inputs(scope.call)
        if argument not in names or names.index(argument) >= len(inputs):
            return None
        return scope.outer, inputs[names.index(argument)]

    def _inner(self, outer: Scope, call: Any, function: Any) -> Scope:
        key = id(outer), call.name
        if key not in self._scopes:
            self._scopes[key] = Scope(self._nodes(function), function, call, outer)
        return self._scopes[key]

    def _called(self, node: Any) -> Any:
        if node.op in CALLS and "f" in node.attributes:
            return self._functions.get(node.attributes["f"].function.name)
        return self._functions.get(node.op)

    def _nodes(self, function: Any) -> Mapping[str, Any]:
        name = function.signature.name
        if name not in self._nodes_of:
            self._nodes_of[name] = {node.name: node for node in function.nodes}
        return self._nodes_of[name]


def parse(reference: str) -> tuple[str, int]:
    """Graphs write "node:index", functions "node:output:index" or an argument's name."""
    parts = reference.split(":")
    return parts[0], int(parts[-1]) if len(parts) > 1 and parts[-1].isdecimal() else 0


def data_inputs(node: Any) -> list[str]:
    return [name for name in node.inputs if not name.startswith("^")]
