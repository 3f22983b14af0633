"""Whether a graph holds anything that a model has no business with, seen before anything of it runs.

The process that runs the model is locked in (audits.isolation); this names the op, the node and the reason early, and
is held against every function of the graph, whether anything seems to call it or not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from audits.sources.graph.allowed_ops import refused
from audits.sources.graph.dataflow import data_inputs, parse
from audits.sources.graph.files import FIELD, assets_of
from audits.sources.graph.foreign_ops import is_foreign
from audits.sources.graph.protobuf import bytes_of
from schemas.problem import ModelError

MAX_NODES, MAX_FUNCTIONS, MAX_INLINED_NODES = 1_000_000, 50_000, 20_000_000
MAX_VARIABLE_BYTES = 64 * 2**30
SHOWN_CHARACTERS = 100

_WRITERS = frozenset({"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints"})
_READERS = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
_TEXT_TABLES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
# Calls, and how many inputs stand before those that are passed on.
_CALLS = {"PartitionedCall": 0, "StatefulPartitionedCall": 0, "If": 1, "StatelessIf": 1}
_PASSED_ON = frozenset({"Identity", "PlaceholderWithDefault", "StopGradient"})
_STREAMS = frozenset({b"", b"stdout", b"stderr", b"log(info)", b"log(warning)", b"log(error)"})
_HANDLES = frozenset({20, 21})  # resource and variant, of tensorflow/core/framework/types.proto
_ON_LOAD = ("saved_model_main_op", "legacy_init_op")
_OUTSIDE_THE_LIST = (
    "it is not on the list of ops that only compute; others read or write files, open connections, call Python or "
    "end the process"
)


@dataclass(frozen=True)
class _Place:
    """A node, in the graph (None) or in a function."""

    node: Any
    function: Any | None

    @property
    def text(self) -> str:
        where = "" if self.function is None else f" of the function {_shown(self.function.signature.name)}"
        return f"node {_shown(self.node.name)}{where}"


def require_permitted(meta_graph: Any, allowed_ops: frozenset[str] = frozenset()) -> None:
    """Return if the graph is of a size that can be handled and each of its ops is one of those that compute.

    Args:
        meta_graph: the parsed protobuf.
        allowed_ops: that the operator allows besides.

    Raises:
        ModelError: `model_too_complex`, `model_too_large`, or `model_forbidden_op` with the op.
    """
    graph = _Graph(meta_graph)
    graph.require_small()
    may_save = graph.saver_functions()
    for place in graph.places():
        op = place.node.op
        if op in graph.functions or op in allowed_ops:
            continue
        why = _reason(graph, place, may_save)
        if why is not None:
            raise _forbidden(place, why)
    graph.require_variables_that_fit()


class _Graph:
    """A meta graph, looked at from several sides."""

    def __init__(self, meta_graph: Any) -> None:
        self._meta_graph = meta_graph
        self.nodes = meta_graph.graph.nodes
        self.functions = {function.signature.name: function for function in meta_graph.graph.library.functions}
        self._nodes_by_name: dict[str | None, Mapping[str, Any]] = {}

    def places(self) -> Iterator[_Place]:
        yield from (_Place(node, None) for node in self.nodes)
        for function in self.functions.values():
            yield from (_Place(node, function) for node in function.nodes)

    def require_small(self) -> None:
        """Hold the size against the limits: also what it comes to with each call replaced by what it calls.

        Raises:
            ModelError: `model_too_complex`.
        """
        n_nodes = len(self.nodes) + sum(len(function.nodes) for function in self.functions.values())
        if n_nodes > MAX_NODES or len(self.functions) > MAX_FUNCTIONS:
            raise _too_complex(f"holds {n_nodes:,} nodes in {len(self.functions):,} functions")
        inlined: dict[str, int] = {}
        for name in self._callees_first():
            inlined[name] = self._inlined(self.functions[name].nodes, inlined)
            if inlined[name] > MAX_INLINED_NODES:
                raise _too_complex(f"calls functions of {inlined[name]:,} nodes in all, each through the other")
        total = self._inlined(self.nodes, inlined)
        if total > MAX_INLINED_NODES:
            raise _too_complex(f"comes to {total:,} nodes with its functions put in place")

    def _inlined(self, nodes: Iterable[Any], inlined: Mapping[str, int]) -> int:
        return sum(1 + sum(inlined[name] for name in self._called_by(node)) for node in nodes)

    def _callees_first(self) -> Iterator[str]:
        """The names of the functions, each after those that it calls."""
        done: set[str] = set()
        for root in self.functions:
            waiting = [(root, iter(self._callees[root]))]
            on_the_way = {root}
            while waiting:
                name, callees = waiting[-1]
                following = next((callee for callee in callees if callee not in done), None)
                if following is None:
                    waiting.pop()
                    on_the_way.discard(name)
                    if name not in done:
                        done.add(name)
                        yield name
                elif following in on_the_way:
                    raise _too_complex(f"holds the function {_shown(following)}, which calls itself")
                else:
                    on_the_way.add(following)
                    waiting.append((following, iter(self._callees[following])))

    @cached_property
    def _callees(self) -> dict[str, set[str]]:
        return {
            name: {callee for node in function.nodes for callee in self._called_by(node)}
            for name, function in self.functions.items()
        }

    def _called_by(self, node: Any) -> list[str]:
        names = [node.op] if node.op in self.functions else []
        for attribute in node.attributes.values():
            names += [f.name for f in (attribute.function, *attribute.list.functions) if f.name in self.functions]
        return names

    def saver_functions(self) -> frozenset[str]:
        """The functions that save and restore the checkpoint, as every SavedModel of TensorFlow 2 carries them.

        They are called by the nodes that the saver names, and by nothing else. Of a model of TensorFlow 1, which has no
        objects that a loader could call, those that no node calls are left over from a model that it was made with.
        """
        saver = self._meta_graph.saver
        named = {parse(saver.save_tensor)[0], parse(saver.restore_op)[0]}
        roots = {name for node in self.nodes if node.name in named for name in self._called_by(node)}
        found = set(roots)
        waiting = list(roots)
        while waiting:
            new = self._callees[waiting.pop()] - found
            found |= new
            waiting.extend(new)
        others = {name for node in self.nodes if node.name not in named for name in self._called_by(node)}
        others.update(*(callees for name, callees in self._callees.items() if name not in found))
        left_over = frozenset() if self._meta_graph.HasField("objects") else self.functions.keys() - self._calls.keys()
        return frozenset(found - others) | left_over

    @cached_property
    def answering(self) -> frozenset[str]:
        """Nodes of the graph that run when a signature is called or the model is loaded."""
        signatures = self._meta_graph.signatures.values()
        wanted = [tensor.name for signature in signatures for tensor in signature.outputs.values()]
        by_name = {node.name: node for node in self.nodes}
        waiting = [parse(name)[0] for name in (*wanted, self._meta_graph.saver.restore_op, *self._loaders())]
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in by_name and name not in found:
                found.add(name)
                waiting.extend(parse(one.lstrip("^"))[0] for one in by_name[name].inputs)
        return frozenset(found)

    def _loaders(self) -> list[str]:
        """What a loader of TensorFlow 1 runs besides."""
        collections = self._meta_graph.collections
        return [name for key in _ON_LOAD if key in collections for name in collections[key].node_list.value]

    def source_of(self, place: _Place, position: int) -> str:
        """The name of what an input comes from, behind nodes that pass it on: a node, or a function's argument."""
        by_name = self._by_name(place.function)
        inputs = data_inputs(place.node)
        name = parse(inputs[position])[0] if position < len(inputs) else ""
        for _ in range(len(by_name)):
            node = by_name.get(name)
            if node is None or node.op not in _PASSED_ON or self._is_filename(place, name) or not node.inputs:
                break
            name = parse(node.inputs[0])[0]
        return name

    def _by_name(self, function: Any | None) -> Mapping[str, Any]:
        key = None if function is None else function.signature.name
        if key not in self._nodes_by_name:
            nodes = self.nodes if function is None else function.nodes
            self._nodes_by_name[key] = {node.name: node for node in nodes}
        return self._nodes_by_name[key]

    def _is_filename(self, place: _Place, name: str) -> bool:
        return place.function is None and name == parse(self._meta_graph.saver.filename)[0]

    def is_from_saver(self, place: _Place) -> bool:
        return self._is_filename(place, self.source_of(place, 0))

    def is_asset(self, place: _Place, position: int) -> bool:
        """Whether an input is a file that comes with the model, as the loader puts it in place.

        An argument of a function is, where each call passes such a file, and where the loader does that binds it.
        """
        waiting = [(place, position)]
        seen: set[tuple[str, int]] = set()
        while waiting:
            at, position = waiting.pop()
            source = self.source_of(at, position)
            if at.function is None:
                if not self._holds_asset(source):
                    return False
                continue
            name = at.function.signature.name
            arguments = [argument.name for argument in at.function.signature.inputs]
            if source not in arguments or not self._is_bound_to_asset(name, len(arguments), arguments.index(source)):
                return False
            if (name, arguments.index(source)) in seen:
                continue
            seen.add((name, arguments.index(source)))
            for call in self._calls.get(name, ()):
                before = 0 if call.node.op == name else _CALLS.get(call.node.op)
                if before is None:
                    return False
                waiting.append((call, before + arguments.index(source)))
        return True

    def _holds_asset(self, name: str) -> bool:
        """Whether a node of the graph is an asset, or reads a variable that nothing but assets are put in."""
        if name in self._assets:
            return True
        node = self._by_name(None).get(name)
        if node is None or node.op != "ReadVariableOp" or not node.inputs:
            return False
        put = self._assigned.get(parse(node.inputs[0])[0], [])
        return bool(put) and all(self.source_of(place, 1) in self._assets for place in put)

    def _is_bound_to_asset(self, function: str, arguments: int, place: int) -> bool:
        """Whether what the loader binds to an argument is an asset; true of a function that it does not call."""
        objects = self._meta_graph.objects
        if function not in objects.functions:
            return True
        bound = objects.functions[function].bound_inputs
        at = place - (arguments - len(bound))  # those that are bound come last
        if not 0 <= at < len(bound):
            return function in self._calls  # a caller says it; the loader calls it for nobody
        return 0 <= bound[at] < len(objects.nodes) and bool(objects.nodes[bound[at]].HasField("asset"))

    @cached_property
    def _assets(self) -> frozenset[str]:
        return frozenset(parse(asset.tensor.name)[0] for asset in assets_of(self._meta_graph))

    @cached_property
    def _assigned(self) -> Mapping[str, list[_Place]]:
        """Variable of the graph -> the nodes that put a value in it."""
        found: dict[str, list[_Place]] = {}
        for node in self.nodes:
            if node.op == "AssignVariableOp" and data_inputs(node):
                found.setdefault(parse(data_inputs(node)[0])[0], []).append(_Place(node, None))
        return found

    @cached_property
    def _calls(self) -> Mapping[str, list[_Place]]:
        """Function -> the nodes that call it."""
        found: dict[str, list[_Place]] = {}
        for place in self.places():
            for name in self._called_by(place.node):
                found.setdefault(name, []).append(place)
        return found

    def require_variables_that_fit(self) -> None:
        """Raise `model_too_large` where the variables alone would fill any machine."""
        total = sum(_variable_bytes(place.node) for place in self.places())
        if total > MAX_VARIABLE_BYTES:
            raise ModelError(
                "model_too_large",
                f"The model's variables take {total:,} bytes; at most {MAX_VARIABLE_BYTES:,} are loaded.",
                field=FIELD,
            )


def _reason(graph: _Graph, place: _Place, may_save: frozenset[str]) -> str | None:
    """Why the node is refused; None where it is not."""
    op = place.node.op
    if op in _WRITERS | _READERS:
        return _about_checkpoints(graph, place, may_save)
    rule = _RULES.get(op)
    if rule is not None:
        return rule(graph, place)
    if op in refused() and not is_foreign(op):
        return _OUTSIDE_THE_LIST
    # What stands in neither list, TensorFlow may not have: the model's process knows, and asks before it loads.
    return None


def _about_checkpoints(graph: _Graph, place: _Place, may_save: frozenset[str]) -> str | None:
    if place.function is not None:
        is_savers = place.function.signature.name in may_save
        return None if is_savers else "only the functions that save and restore the checkpoint may hold it"
    if place.node.op in _WRITERS:
        return "it runs when the model answers or is loaded" if place.node.name in graph.answering else None
    return None if graph.is_from_saver(place) else "it reads another file than the model's checkpoint"


def _about_constants(_: _Graph, place: _Place) -> str | None:
    attributes = place.node.attributes
    dtypes = {attributes[name].type % 100 for name in ("dtype",) if name in attributes}
    dtypes |= {attributes[name].constant.dtype % 100 for name in ("value",) if name in attributes}
    return "its value is a handle that was written by hand" if dtypes & _HANDLES else None


def _about_tables(graph: _Graph, place: _Place) -> str | None:
    if graph.is_asset(place, 1):
        return None
    return "it reads a file that is not among the model's assets"


def _about_printing(_: _Graph, place: _Place) -> str | None:
    stream = _bytes(place.node, "output_stream")
    return None if stream in _STREAMS else "it prints to a file"


def _without(attribute: str, *, unless: tuple[bytes, ...] = ()) -> Callable[[_Graph, _Place], str | None]:
    """A rule: the attribute names no file."""

    def rule(_: _Graph, place: _Place) -> str | None:
        value = _bytes(place.node, attribute)
        return f"its {attribute} names a file" if value and not value.startswith(unless) else None

    return rule


_RULES: Mapping[str, Callable[[_Graph, _Place], str | None]] = {
    "Const": _about_constants,
    "PrintV2": _about_printing,
    "FixedUnigramCandidateSampler": _without("vocab_file"),
    "DecodeProtoV2": _without("descriptor_source", unless=(b"local://", b"bytes://")),
    "EncodeProto": _without("descriptor_source", unless=(b"local://", b"bytes://")),
    **dict.fromkeys(_TEXT_TABLES, _about_tables),
}


def _variable_bytes(node: Any) -> int:
    if node.op not in {"VarHandleOp", "VariableV2", "Variable"} or "shape" not in node.attributes:
        return 0
    count = bytes_of(node.attributes["dtype"].type)
    for dimension in node.attributes["shape"].shape.dimensions:
        count *= max(0, dimension.size)
    return count


def _bytes(node: Any, attribute: str) -> bytes:
    return bytes(node.attributes[attribute].bytes) if attribute in node.attributes else b""


def _shown(name: str) -> str:
    """A name out of the model: one line, and not a long one."""
    cut = name if len(name) <= SHOWN_CHARACTERS else name[:SHOWN_CHARACTERS] + "..."
    return ascii(cut)


def _forbidden(place: _Place, why: str) -> ModelError:
    op = place.node.op[:SHOWN_CHARACTERS]
    return ModelError(
        "model_forbidden_op",
        f"The model holds the op {_shown(op)} ({place.text}), which is not run: {why}. Export the model without it; an "
        "operator who trusts it can name it in FITCHECK_ALLOWED_OPS.",
        field=FIELD,
        op=op,
    )


def _too_complex(why: str) -> ModelError:
    return ModelError(
        "model_too_complex", f"The graph {why}, more than is looked through. Export a smaller graph.", field=FIELD
    )
