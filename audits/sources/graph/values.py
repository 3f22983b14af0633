"""Values of a graph that no input has part in: constants, variables, and what is computed from them.

A graph may have been written to harm: no value is larger than `MAX_CONSTANT_VALUES`, whatever a few bytes ask for.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from audits.artefacts import Array
from audits.sources.graph.dataflow import Dataflow, Tensor, data_inputs, parse
from audits.sources.graph.protobuf import numpy_type_of

VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})
READS = frozenset({"ReadVariableOp"})
# Beyond, an expression is none that a layer writes.
MAX_DEPTH = 40
MAX_CONSTANT_VALUES = 1_000_000

STRING = 7  # DataType of tensorflow/core/framework/types.proto
# Where a constant lists its values, by type; of the others it lists none that are declared.
_LISTED: Mapping[str, str] = {
    "float32": "floats",
    "float64": "doubles",
    "int64": "longs",
    "bool": "bools",
    **dict.fromkeys(("int32", "int16", "int8", "uint16", "uint8"), "ints"),
}
_UNARY: Mapping[str, Callable[[Array], Array]] = {
    "Sqrt": np.sqrt,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Square": np.square,
    "Neg": np.negative,
    "Reciprocal": lambda x: 1 / x,
    "Inv": lambda x: 1 / x,
    "Cast": np.asarray,
}
_BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.divide,
    "Div": np.divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Pow": np.power,
}


class GraphValues:
    """Evaluates tensors that depend on no input.

    Attributes:
        flow: of the graph.
        key_of: name of a variable's node -> its key in the checkpoint.
        initial: name of a variable's node -> the node that it is initialised from.
        tables: name of a table's node -> the checkpoint's key of its keys, where it was filled from there.
        table_values: likewise, of what the keys lead to.
    """

    def __init__(self, flow: Dataflow, restore_op: str) -> None:
        self.flow = flow
        self.key_of: dict[str, str] = {}
        self.initial: dict[str, Any] = {}
        self.tables: dict[str, str] = {}
        self.table_values: dict[str, str] = {}
        self._values: Mapping[str, Array] = {}
        self._known: dict[tuple[int, str, int], Array | None] = {}
        self._find_keys(restore_op)

    def fill(self, values: Mapping[str, Array]) -> None:
        """Take in the checkpoint's values by key."""
        self._values = values
        self._known = {}

    def stored(self, key: str) -> Array | None:
        return self._values.get(key)

    def variable(self, tensor: Tensor | None) -> Any | None:
        """The node of the variable that a tensor reads, or is the handle of."""
        for _ in range(MAX_DEPTH):
            if tensor is None or tensor.op in VARIABLES:
                return None if tensor is None else tensor.node
            if tensor.op not in READS | {"Cast"}:
                return None
            tensor = next(iter(self.flow.inputs(tensor)), None)
        return None

    def of(self, tensor: Tensor | None, depth: int = 0) -> Array | None:
        """The tensor's value as float64 (texts as objects); None where it depends on an input or is not known."""
        if tensor is None or depth > MAX_DEPTH:
            return None
        if tensor.key not in self._known:
            with np.errstate(all="ignore"):
                self._known[tensor.key] = self._computed(tensor, depth)
        return self._known[tensor.key]

    def columns(self, tensor: Tensor, width: int) -> range | None:
        """The columns that a StridedSlice cuts out of a matrix of so many; None where it does anything else."""
        attributes = tensor.node.attributes
        begins, ends, ellipsis, new, single = (
            attributes[name].int if name in attributes else 0
            for name in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
        )
        first, last, step = (self.of(self._input(tensor, place)) for place in (1, 2, 3))
        if first is None or last is None or step is None or any(one.shape != (2,) for one in (first, last, step)):
            return None
        takes_every_row = ellipsis == 1 or (begins & ends & 1 and not ellipsis)
        if tensor.op != "StridedSlice" or not takes_every_row or new or single & 1 or not (step == 1).all():
            return None
        start = None if begins & 2 else int(first[1])
        if single & 2:
            chosen = range(width)[int(first[1]) :][:1]
        else:
            chosen = range(width)[start : None if ends & 2 else int(last[1])]
        return chosen or None

    def _computed(self, tensor: Tensor, depth: int) -> Array | None:
        op = tensor.op
        if op == "Const":
            return constant(tensor.node.attributes["value"])
        if op in READS | VARIABLES:
            node = self.variable(tensor)
            value = None if node is None else self._values.get(self.key_of.get(node.name, ""))
            return None if value is None or value.dtype == object else np.asarray(value, dtype=np.float64)
        if op in _UNARY or op in {"Reshape", "Squeeze", "ExpandDims"}:
            value = self.of(self._input(tensor, 0), depth + 1)
            return None if value is None else self._unary(tensor, value, depth)
        if op in _BINARY:
            left, right = (self.of(self._input(tensor, place), depth + 1) for place in (0, 1))
            return None if left is None or right is None else _combined(_BINARY[op], left, right)
        return None

    def _unary(self, tensor: Tensor, value: Array, depth: int) -> Array | None:
        if tensor.op == "Squeeze":
            return np.squeeze(value)
        if tensor.op in _UNARY:
            return np.asarray(_UNARY[tensor.op](value)) if value.dtype != object else None
        argument = self.of(self._input(tensor, 1), depth + 1)
        if argument is None:
            return None
        try:
            if tensor.op == "Reshape":
                return value.reshape([int(size) for size in argument.ravel()])
            return np.expand_dims(value, int(argument))
        except (ValueError, TypeError, OverflowError):
            return None

    def _input(self, tensor: Tensor, place: int) -> Tensor | None:
        inputs = data_inputs(tensor.node)
        return self.flow.source(inputs[place], tensor.scope) if place < len(inputs) else None

    def _find_keys(self, restore_op: str) -> None:
        """Which key of the checkpoint each variable is restored from, as the graph's own restore operation says."""
        scopes = [scope for scope in self.flow.calls() if scope.call.name == parse(restore_op)[0]]
        for scope in [self.flow.graph, *scopes]:
            for node in scope.nodes.values():
                if node.op in {"AssignVariableOp", "Assign"}:
                    self._note(Tensor(scope, node, 0), self.key_of)
                elif node.op in {"LookupTableImportV2", "LookupTableImport"}:
                    self._note(Tensor(scope, node, 0), self.tables)
                    self._note(Tensor(scope, node, 0), self.table_values, place=2)
        for copy, original in self.initial.items():
            # Keras saves copies of its variables; what the signature uses may be the original
            if copy in self.key_of:
                self.key_of.setdefault(original.name, self.key_of[copy])

    def _note(self, assignment: Tensor, found: dict[str, str], *, place: int = 1) -> None:
        target, value = self._input(assignment, 0), self._input(assignment, place)
        if target is None or value is None:
            return
        if value.op not in {"RestoreV2", "Restore"}:
            self.initial[target.node.name] = self.variable(value) or value.node
            return
        names = self.of(self._input(value, 1))
        # of a number, bytes() would make as many zeros
        if names is not None and names.dtype == object and names.ndim == 1 and value.index < len(names):
            found[target.node.name] = bytes(names[value.index]).decode("utf-8", "replace")


def _combined(op: Callable[[Array, Array], Array], left: Array, right: Array) -> Array | None:
    """What an op makes of two arrays of numbers; None where they do not fit, or blow up."""
    try:
        size = math.prod(np.broadcast_shapes(left.shape, right.shape))
        if size > MAX_CONSTANT_VALUES or object in (left.dtype, right.dtype):
            return None
        return np.asarray(op(left, right))
    except (ValueError, TypeError):
        return None


def constant(attribute: Any) -> Array | None:
    """A constant's value; numbers as float64, or int64 where they are whole, texts as objects (bytes).

    None for a shape that no value has, and for one of too many values.
    """
    proto = attribute.constant
    shape = [int(d.size) for d in proto.shape.dimensions]
    count = math.prod(shape)
    if count > MAX_CONSTANT_VALUES or min(shape, default=0) < 0:
        return None
    values = _given(proto, count)
    if values is None:
        return None
    if not len(values):
        # protobuf leaves zeros out
        values = np.zeros(count)
    if len(values) < count:
        # ... and repeats of the last value
        values = np.concatenate([values, np.repeat(values[-1:], count - len(values))])
    wanted = object if values.dtype == object else np.int64 if values.dtype.kind in "iub" else np.float64
    return values[:count].astype(wanted).reshape(shape)


def _given(proto: Any, count: int) -> Array | None:
    """The values that a constant holds or lists; None where they are not those of its type."""
    if proto.dtype == STRING:
        # protobuf leaves nothing out of texts but repeats
        texts = np.empty(max(len(proto.strings), 1), dtype=object)
        texts[:] = list(proto.strings) or [b""]
        return texts
    dtype = numpy_type_of(proto.dtype)
    if dtype is None or dtype.kind == "c":
        return None
    if proto.content:
        fits = len(proto.content) == count * dtype.itemsize
        return np.frombuffer(proto.content, dtype=dtype) if fits else None
    if dtype.name == "float16":
        are_bits = all(0 <= bits < 2**16 for bits in proto.halves)
        return np.array(proto.halves, dtype=np.uint16).view(np.float16) if are_bits else None
    return np.array(list(getattr(proto, _LISTED[dtype.name]))) if dtype.name in _LISTED else None
