"""The lookup tables of a graph: their keys, and which input is looked up in them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audits.artefacts import Array, Place, Vocabulary
from audits.sources.graph.dataflow import Dataflow, Tensor, data_inputs
from audits.sources.graph.values import GraphValues

LOOKUPS = frozenset({"LookupTableFindV2", "LookupTableFind"})
FROM_VALUES = frozenset({"LookupTableImportV2", "LookupTableImport", "InitializeTableV2", "InitializeTable"})
FROM_FILE = frozenset({"InitializeTableFromTextFileV2", "InitializeTableFromTextFile"})
WHOLE_LINE = -2
MAX_TOKENS = 100_000
MAX_ASSET_BYTES = 16 * 2**20
MAX_STEPS = 2_000
Inputs = Mapping[str, tuple[str, int | None]]

# Ids pass through these, and texts through those, without becoming anything else.
_IDS = frozenset(
    {
        *("Cast", "Reshape", "Squeeze", "ExpandDims", "SelectV2", "Select", "AddV2", "Add", "Less", "StridedSlice"),
        *("Where", "RaggedTensorToTensor", "EnsureShape", "Unpack", "Split", "ConcatV2", "GreaterEqual"),
        *("Placeholder", "Const", "Shape", "ReadVariableOp", "VarHandleOp", "Pack"),
    }
)

# Keras adds the table's rows to negative ids, and to no others.
_SUMS, _CHOICES = frozenset({"AddV2", "Add"}), frozenset({"SelectV2", "Select"})


class Vocabularies:
    """Finds and reads the tables of a meta graph.

    Args:
        meta_graph: of the model.
        values: of its graph.
        folder: of the model.
    """

    def __init__(self, meta_graph: Any, values: GraphValues, folder: Path) -> None:
        self._flow, self._values, self._folder = values.flow, values, folder
        self._assets = {asset.tensor.name.split(":")[0]: asset.filename for asset in meta_graph.assets}
        self._filled: dict[str, Tensor] = {}
        for scope in [self._flow.graph, *self._flow.calls()]:
            for node in scope.nodes.values():
                if node.op in FROM_VALUES | FROM_FILE:
                    step = Tensor(scope, node, 0)
                    table = self._flow.source(data_inputs(node)[0], scope)
                    if table is not None:
                        self._filled.setdefault(table.node.name, step)

    def wanted(self, used: Sequence[Tensor]) -> list[str]:
        """Keys of the checkpoint that hold tables."""
        tables = {table.node.name for tensor in used if (table := self._table(tensor)) is not None}
        return [key for name, key in self._values.tables.items() if name in tables]

    def read(self, used: Sequence[Tensor], inputs: Inputs) -> Iterator[Vocabulary]:
        """The vocabulary of every lookup whose keys can be read."""
        for tensor in used:
            table = self._table(tensor)
            keys = None if table is None else self._keys(table)
            if keys is None:
                continue
            tokens: tuple[str, ...] | tuple[int, ...]
            if keys.dtype == object:
                tokens = tuple(_text(key) for key in keys[:MAX_TOKENS])
            else:
                tokens = tuple(int(key) for key in keys[:MAX_TOKENS])
            looked_up = self._flow.inputs(tensor)[1]
            ops = {step.op for step in _steps(self._flow, looked_up)}
            yield Vocabulary(
                _layer(tensor.node.name),
                tokens,
                len(keys),
                places_behind(self._flow, self._values, looked_up, inputs, texts=True),
                is_split=any(op.startswith("StringSplit") for op in ops),
                is_lowered="StringLower" in ops,
            )

    def _table(self, tensor: Tensor) -> Tensor | None:
        return self._flow.inputs(tensor)[0] if tensor.op in LOOKUPS else None

    def _keys(self, table: Tensor) -> Array | None:
        """(tokens,) in the table's order."""
        name = table.node.name
        restored = self._values.stored(self._values.tables.get(name, ""))
        if restored is not None:
            return np.asarray(restored).ravel()
        step = self._filled.get(name)
        if step is None:
            return None
        source = self._flow.source(data_inputs(step.node)[1], step.scope)
        if step.op in FROM_FILE:
            return self._lines(step.node, source)
        keys = self._values.of(source)
        return None if keys is None else keys.ravel()

    def _lines(self, node: Any, source: Tensor | None) -> Array | None:
        """The lines of an asset."""
        variable = self._values.variable(source)
        origin = source.node if source is not None else None
        if variable is not None:
            origin = self._values.initial.get(variable.name, origin)
        name = None if origin is None else self._assets.get(origin.name)
        if name is None or ("key_index" in node.attributes and node.attributes["key_index"].int != WHOLE_LINE):
            return None
        path = self._folder / "assets" / Path(name).name
        if not path.is_file() or path.stat().st_size > MAX_ASSET_BYTES:
            return None
        # as TensorFlow reads lines, with the ends that Windows writes
        lines = [line.removesuffix(b"\r") for line in path.read_bytes().split(b"\n")]
        return np.array([*(lines if lines[-1] else lines[:-1]), None], dtype=object)[:-1]


def places_behind(
    flow: Dataflow, values: GraphValues, tensor: Tensor | None, inputs: Inputs, *, texts: bool = False
) -> tuple[Place, ...]:
    """The one input, or one column of it, that a tensor carries on; empty where it is made of anything else."""
    steps = list(_steps(flow, tensor))
    sources = {step.node.name for step in steps if step.node.name in inputs and step.op == "Placeholder"}
    ops = {step.op for step in steps}
    strange = ops & LOOKUPS if texts else ops - _IDS
    if ops & _SUMS and not ops & _CHOICES:
        strange = ops & _SUMS  # other ids than the input's
    if len(sources) != 1 or strange:
        return ()
    name, width = inputs[sources.pop()]
    if width is None or width == 1:
        return (Place(name),)
    columns = {c for step in steps if (c := _column(flow, values, step, width)) is not None}
    if len(columns) == 1:
        return (Place(name, columns.pop()),)
    return tuple(Place(name, position) for position in range(width)) if not columns else ()


def _column(flow: Dataflow, values: GraphValues, step: Tensor, width: int) -> int | None:
    """The one column that is cut out of an input's matrix."""
    whole = next(iter(flow.inputs(step)), None)
    if step.op != "StridedSlice" or whole is None or whole.op != "Placeholder":
        return None
    chosen = values.columns(step, width)
    return chosen[0] if chosen is not None and len(chosen) == 1 else None


def _steps(flow: Dataflow, tensor: Tensor | None) -> Iterator[Tensor]:
    """Every node that a tensor follows from, once each."""
    waiting = [tensor] if tensor is not None else []
    seen: set[tuple[int, str]] = set()
    while waiting and len(seen) < MAX_STEPS:
        step = waiting.pop()
        if step.key[:2] in seen:
            continue
        seen.add(step.key[:2])
        yield step
        waiting.extend(given for given in flow.inputs(step) if given is not None)


def _layer(name: str) -> str:
    parts = name.split("/")
    return next((part for part in reversed(parts[:-1]) if "hash_table" not in part and "Lookup" not in part), parts[0])


def _text(key: Any) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
