"""Which features a model parses out of serialized `tf.train.Example` messages, as its own parsing op says."""

from collections.abc import Sequence
from typing import Any

from audits.artefacts import ExampleFeature
from audits.sources.graph.dataflow import Dataflow, Scope, Tensor, data_inputs, parse
from audits.sources.graph.protobuf import shape_of, type_of
from audits.sources.graph.reach import Reach
from audits.sources.graph.values import GraphValues
from schemas.problem import ModelError

_BATCHES = frozenset({"ParseExample", "ParseExampleV2"})
PARSERS = _BATCHES | {"ParseSingleExample"}
_SEQUENCES = frozenset({"ParseSequenceExample", "ParseSequenceExampleV2", "ParseSingleSequenceExample"})
# Of each feature with any number of values there are so many outputs: indices, values, shape.
_SPARSE_PARTS = 3


def parsed_features(graph: Any, reach: Reach) -> tuple[ExampleFeature, ...] | None:
    """The features of a signature whose only input is a vector of messages; None where nothing is parsed.

    Raises:
        ModelError: `inputs_unsupported` where sequences of features are parsed, or the names cannot be read.
    """
    found: dict[str, ExampleFeature] = {}
    values = GraphValues(Dataflow(graph), "")
    is_parsed = False
    for scope, node in reach.nodes():
        if node.op in _SEQUENCES:
            raise _unsupported(f"The model parses tf.train.SequenceExample messages ({node.name!r}).")
        if node.op not in PARSERS:
            continue
        is_parsed = True
        for feature in _Parser(node, scope, values, set(reach.references(scope))).features():
            known = found.get(feature.name)
            # several parsers may take the same message
            found[feature.name] = feature if known is None or feature.is_used else known
    if is_parsed and not found:
        raise _unsupported("The names of the features that the model parses cannot be read from its graph.")
    return tuple(found.values()) if is_parsed else None


class _Parser:
    """One parsing op."""

    def __init__(self, node: Any, scope: Scope, values: GraphValues, references: set[str]) -> None:
        self._node, self._scope, self._values = node, scope, values
        self._taken = {_output(name) for name in references if parse(name)[0] == node.name}

    def features(self) -> list[ExampleFeature]:
        sparse_keys, ragged_keys, dense_keys, defaults = self._keys()
        attributes = self._node.attributes
        sparse = [
            ExampleFeature(
                key, type_of(number), None, has_default=False, is_used=self._is_sparse_used(place, len(sparse_keys))
            )
            for place, (key, number) in enumerate(zip(sparse_keys, attributes["sparse_types"].list.types, strict=False))
        ]
        ragged_types = attributes["ragged_value_types"].list.types if ragged_keys else ()
        ragged = [ExampleFeature(key, type_of(n), None) for key, n in zip(ragged_keys, ragged_types, strict=False)]
        shapes = [shape_of(shape) for shape in attributes["dense_shapes"].list.shapes]
        dense = [
            self._dense(place, key, type_of(number), shape, default, len(sparse_keys))
            for place, (key, number, shape, default) in enumerate(
                zip(dense_keys, attributes["Tdense"].list.types, shapes, defaults, strict=False)
            )
        ]
        return [*sparse, *ragged, *dense]

    def _dense(
        self, place: int, key: str, dtype: str, shape: tuple[int | None, ...] | None, default: str, sparse: int
    ) -> ExampleFeature:
        sizes = None if shape is None or None in shape else tuple(int(size or 0) for size in shape)
        is_used = self._is_taken("dense_values", place, _SPARSE_PARTS * sparse + place)
        return ExampleFeature(key, dtype, sizes, self._has_values(default), is_used)

    def _keys(self) -> tuple[list[str], list[str], list[str], Sequence[str]]:
        """Names of the sparse, ragged and dense features, and where the defaults of the dense ones come from."""
        node, inputs = self._node, data_inputs(self._node)
        if node.op == "ParseSingleExample":
            sparse, dense = (
                [_text(key) for key in node.attributes[kind].list.strings] for kind in ("sparse_keys", "dense_keys")
            )
            return sparse, [], dense, inputs[1:]
        if node.op == "ParseExampleV2":
            sparse, dense, ragged = (self._strings(reference) for reference in inputs[2:5])
            return sparse, ragged, dense, inputs[5:]
        n_sparse, n_dense = (node.attributes[name].int for name in ("Nsparse", "Ndense"))
        sparse = [key for reference in inputs[2 : 2 + n_sparse] for key in self._strings(reference)]
        dense = [key for reference in inputs[2 + n_sparse : 2 + n_sparse + n_dense] for key in self._strings(reference)]
        return sparse, [], dense, inputs[2 + n_sparse + n_dense :]

    def _strings(self, reference: str) -> list[str]:
        value = self._values.of(self._source(reference))
        return [] if value is None or value.dtype != object else [_text(key) for key in value.ravel()]

    def _has_values(self, reference: str) -> bool:
        """A default of no values means that there is none."""
        tensor = self._source(reference)
        if tensor is None or tensor.op != "Const":
            return tensor is not None
        shape = shape_of(tensor.node.attributes["value"].constant.shape)
        return shape is not None and 0 not in shape

    def _source(self, reference: str) -> Tensor | None:
        return self._values.flow.source(reference, self._scope)

    def _is_sparse_used(self, place: int, count: int) -> bool:
        names = ("sparse_indices", "sparse_values", "sparse_shapes")
        return any(self._is_taken(name, place, part * count + place) for part, name in enumerate(names))

    def _is_taken(self, output: str, place: int, flat: int) -> bool:
        """Graphs count the outputs of a node, functions those of each name."""
        return (output, place) in self._taken or ("", flat) in self._taken


def _output(reference: str) -> tuple[str, int]:
    """Name (in functions alone) and number of the output that a reference means."""
    return reference.split(":")[1] if reference.count(":") == 2 else "", parse(reference)[1]


def _text(key: Any) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _unsupported(why: str) -> ModelError:
    return ModelError(
        "inputs_unsupported",
        f"{why} Export a signature that takes the features as tensors, one input each.",
        field="model.signature",
    )
