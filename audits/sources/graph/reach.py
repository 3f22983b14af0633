"""What runs when a signature is called: the nodes that its outputs follow from, and the functions that these call."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from audits.sources.graph.dataflow import Scope, parse

# They change variables or tables that outlive the call.
_UPDATES = frozenset(
    {
        *("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "Assign", "AssignAdd", "AssignSub"),
        *("CountUpTo", "ResourceCountUpTo", "ScatterUpdate", "ScatterAdd", "ScatterSub", "ScatterMul", "ScatterDiv"),
        *("ScatterNdUpdate", "ScatterNdAdd", "ScatterNdSub", "LookupTableInsertV2", "LookupTableRemoveV2"),
    }
)
_UPDATE_PREFIXES = ("ResourceScatter", "ResourceApply")


@dataclass(frozen=True)
class Reach:
    """The nodes that run, by the graph or the function that they stand in.

    Attributes:
        scopes: the graph first, cut to what the outputs follow from.
        outputs: tensors of the graph that are asked for.
    """

    scopes: tuple[Scope, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, graph: Any, outputs: Iterable[str], fed: Iterable[str] = ()) -> "Reach":
        """What the outputs follow from; what makes a tensor that is fed does not run."""
        wanted = tuple(outputs)
        functions = {function.signature.name: function for function in graph.library.functions}
        scopes = [Scope(_ancestors({node.name: node for node in graph.nodes}, wanted, set(map(parse, fed))))]
        known: set[str] = set()
        waiting = list(scopes)
        while waiting:
            for name in _called(waiting.pop().nodes.values(), functions):
                if name not in known:
                    known.add(name)
                    scope = Scope({node.name: node for node in functions[name].nodes}, functions[name])
                    scopes.append(scope)
                    waiting.append(scope)
        return cls(tuple(scopes), wanted)

    @cached_property
    def ops(self) -> frozenset[str]:
        return frozenset(node.op for _, node in self.nodes())

    def nodes(self) -> Iterator[tuple[Scope, Any]]:
        for scope in self.scopes:
            for node in scope.nodes.values():
                yield scope, node

    def updates(self) -> list[str]:
        """Names of the nodes that change a variable or a table."""
        return sorted(
            {str(node.name) for _, node in self.nodes() if node.op in _UPDATES or node.op.startswith(_UPDATE_PREFIXES)}
        )

    def references(self, scope: Scope) -> Iterator[str]:
        """Every tensor of a scope that something takes or that is answered with."""
        for node in scope.nodes.values():
            yield from node.inputs
        yield from self.outputs if scope.function is None else scope.function.returns.values()


def all_ops(graph: Any) -> dict[str, str]:
    """Every op of the graph and of its functions -> a node of it. Calls of functions are no ops."""
    functions = {function.signature.name for function in graph.library.functions}
    found: dict[str, str] = {}
    for nodes in (graph.nodes, *(function.nodes for function in graph.library.functions)):
        for node in nodes:
            if node.op not in found and node.op not in functions:
                found[node.op] = node.name
    return found


def _ancestors(nodes: Mapping[str, Any], outputs: Sequence[str], fed: set[tuple[str, int]]) -> dict[str, Any]:
    waiting = list(outputs)
    found: dict[str, Any] = {}
    followed: set[str] = set()
    while waiting:
        name, index = parse(waiting.pop().lstrip("^"))
        if name not in nodes:
            continue
        found[name] = nodes[name]
        if (name, index) not in fed and name not in followed:
            followed.add(name)
            waiting.extend(nodes[name].inputs)
    return found


def _called(nodes: Iterable[Any], functions: Mapping[str, Any]) -> Iterator[str]:
    for node in nodes:
        if node.op in functions:
            yield node.op
        for attribute in node.attributes.values():
            for function in (attribute.function, *attribute.list.functions):
                if function.name in functions:
                    yield function.name
