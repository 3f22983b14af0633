"""What a SavedModel holds about its data: statistics, vocabularies, tables, constants. Read without TensorFlow.

The graph says what there is and which key of the checkpoint holds each value; the values themselves come from the
model's process, the only one that can read checkpoints.
"""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audits.artefacts import (
    Array,
    BatchNorm,
    Discretisation,
    Embedding,
    Model,
    ModelDescription,
    ModelInternals,
    Normaliser,
    Place,
    WeightMatrix,
)
from audits.sources.graph.dataflow import Dataflow
from audits.sources.graph.input_maps import BatchNormOp, InputMap, InputMaps
from audits.sources.graph.protobuf import shape_of, type_of
from audits.sources.graph.saved_model import meta_graph_of
from audits.sources.graph.values import GraphValues
from audits.sources.graph.vocabularies import Vocabularies, places_behind
from audits.statistics.spectra import power_law_exponent, stable_rank
from schemas.problem import EvaluatorError, ModelError

log = logging.getLogger(__name__)

# Of all values together, and of one; larger kernels are only counted.
MAX_VALUES, MAX_VARIABLE_VALUES = 2**23, 2**21
KERNEL_OPS = frozenset({"MatMul", "BatchMatMulV2", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Einsum"})
GATHERS = frozenset({"GatherV2", "Gather", "ResourceGather"})
# A spectrum of fewer values has no tail, one of more takes too long.
MIN_SPECTRUM, MAX_SPECTRUM = 50, 512
MAX_SPECTRA = 6


def read_internals(model: Model) -> ModelInternals | None:
    """Everything that can be told; None where the graph or its variables cannot be read.

    Raises:
        EvaluatorError: the model's process died.
    """
    try:
        reader = _Reader(meta_graph_of(model.description), model.description)
        reader.values.fill(model.variables(reader.wanted()))
        return reader.internals()
    except EvaluatorError:
        raise
    except (ModelError, OSError) as problem:
        log.info("the model's internals cannot be read: %s", problem)
        return None
    except Exception:
        log.exception("the model's internals cannot be read")
        return None


class _Reader:
    """One signature of one meta graph."""

    def __init__(self, meta_graph: Any, description: ModelDescription) -> None:
        flow = Dataflow(meta_graph.graph)
        self.values = GraphValues(flow, meta_graph.saver.restore_op)
        self._flow = flow
        self._signature = meta_graph.signatures[description.signature]
        self._used = list(flow.behind([tensor.name for tensor in self._signature.outputs.values()]))
        self._inputs = {
            tensor.name.split(":")[0]: (name, _width(shape_of(tensor.shape)))
            for name, tensor in self._signature.inputs.items()
        }
        self._vocabularies = Vocabularies(meta_graph, self.values, Path(description.path))

    def wanted(self) -> list[str]:
        """Keys of the checkpoint, the smallest values first, as many as are not too large."""
        sizes: dict[str, int] = {}
        for tensor in self._used:
            key = self.values.key_of.get(tensor.node.name)
            shape = shape_of(tensor.node.attributes["shape"].shape) if "shape" in tensor.node.attributes else None
            if key is not None and shape is not None and None not in shape:
                sizes[key] = int(np.prod([size or 0 for size in shape], dtype=np.int64))
        chosen, total = self._vocabularies.wanted(self._used), 0
        for key, size in sorted(sizes.items(), key=lambda item: item[1]):
            total += size
            if size > MAX_VARIABLE_VALUES or total > MAX_VALUES:
                break
            chosen.append(key)
        return chosen

    def internals(self) -> ModelInternals:
        maps = InputMaps(self.values, self._inputs)
        norms = maps.batch_norms(self._used)
        return ModelInternals(
            normalisers=tuple(_normalisers(maps.ends(self._used), norms)),
            batch_norms=tuple(
                BatchNorm(layer_of(n.name), _plain(n.mean), _plain(n.variance), n.map is not None) for n in norms
            ),
            vocabularies=tuple(self._vocabularies.read(self._used, self._inputs)),
            embeddings=tuple(self._embeddings()),
            discretisations=tuple(self._discretisations()),
            weights=tuple(self._weights()),
            compute_types=tuple(sorted({_compute_type(t.node) for t in self._used if t.op in KERNEL_OPS})),
        )

    def _embeddings(self) -> list[Embedding]:
        found: dict[tuple[str, tuple[Place, ...]], Embedding] = {}
        for tensor in self._used:
            if tensor.op not in GATHERS:
                continue
            table, ids = (*self._flow.inputs(tensor), None)[:2]
            variable = self.values.variable(table)
            shape = None if variable is None else shape_of(variable.attributes["shape"].shape)
            if variable is None or shape is None or len(shape) != 2 or None in shape:
                continue
            places = places_behind(self._flow, self.values, ids, self._inputs)
            name = layer_of(variable.name)
            found[name, places] = Embedding(name, int(shape[0] or 0), int(shape[1] or 0), places)
        return list(found.values())

    def _discretisations(self) -> list[Discretisation]:
        return [
            Discretisation(
                layer_of(tensor.node.name),
                tuple(float(value) for value in tensor.node.attributes["boundaries"].list.floats),
                places_behind(self._flow, self.values, next(iter(self._flow.inputs(tensor)), None), self._inputs),
            )
            for tensor in self._used
            if tensor.op == "Bucketize"
        ]

    def _weights(self) -> list[WeightMatrix]:
        found: dict[str, WeightMatrix] = {}
        for tensor in self._used:
            if tensor.op not in KERNEL_OPS:
                continue
            for given in self._flow.inputs(tensor):
                variable, value = self.values.variable(given), self.values.of(given)
                if variable is None or value is None or value.ndim < 2 or variable.name in found:
                    continue
                examined = sum(weight.alpha is not None for weight in found.values())
                found[variable.name] = _weight_matrix(variable.name, value, with_spectrum=examined < MAX_SPECTRA)
        return list(found.values())


def _normalisers(ends: list[InputMap], norms: list[BatchNormOp]) -> list[Normaliser]:
    found = [_as_normaliser(end, _kind(end)) for end in ends if not _leads_into(end, norms)]
    for norm in norms:
        if norm.map is None:
            continue
        root = np.sqrt(np.maximum(norm.variance, 0.0))
        after = norm.map.then(
            "batch", 1 / np.where(root > 0, root, 1.0), -norm.mean / np.where(root > 0, root, 1.0), ""
        )
        if after is not None:
            found.append(
                _as_normaliser(InputMap(after.places, after.scale, after.offset, name=norm.name), "batch_normalization")
            )
    return [one for one in found if one is not None]


def _leads_into(end: InputMap, norms: list[BatchNormOp]) -> bool:
    return any(norm.map is not None and norm.map.places == end.places and norm.map.name == end.name for norm in norms)


def _kind(end: InputMap) -> Literal["normalization", "rescaling"]:
    """Statistics where it subtracts first or treats its places differently; a constant where all are alike."""
    differs = np.ptp(end.scale) > 0 or np.ptp(end.offset) > 0
    subtracts = any(
        first == "sub" and then in {"div", "mul"} for first, then in zip(end.steps, end.steps[1:], strict=False)
    )
    return "normalization" if differs or subtracts else "rescaling"


def _as_normaliser(
    end: InputMap, kind: Literal["normalization", "batch_normalization", "rescaling"]
) -> Normaliser | None:
    scale, offset = end.at_places()
    if not np.isfinite(scale).all() or not np.isfinite(offset).all() or (scale == 0).any():
        return None
    return Normaliser(layer_of(end.name), kind, _plain(0.0 - offset / scale), _plain(1 / np.abs(scale)), end.places)


def _weight_matrix(name: str, value: Array, *, with_spectrum: bool) -> WeightMatrix:
    matrix = value.reshape(-1, value.shape[-1])
    norm = float(np.linalg.norm(matrix))
    smaller = min(matrix.shape)
    if not with_spectrum or not MIN_SPECTRUM <= smaller <= MAX_SPECTRUM or not np.isfinite(matrix).all():
        return WeightMatrix(layer_of(name), value.shape, norm if np.isfinite(norm) else 0.0)
    gram = matrix.T @ matrix if matrix.shape[1] == smaller else matrix @ matrix.T
    squared = np.clip(np.linalg.eigvalsh(gram), 0.0, None)
    return WeightMatrix(layer_of(name), value.shape, norm, stable_rank(np.sqrt(squared)), power_law_exponent(squared))


def layer_of(name: str) -> str:
    """The layer's name out of the name of one of its nodes or variables.

    Keras writes "model/layer_1/op" for nodes, where the number tells a copy, and "layer/variable" for variables.
    """
    parts = [part for part in name.split("/") if part]
    named = parts[-2] if len(parts) > 1 else (parts[0] if parts else "")
    if named in {"batchnorm", "Cast"} and len(parts) > 2:
        named = parts[-3]
    return named


def _compute_type(node: Any) -> str:
    return type_of(node.attributes["T"].type) if "T" in node.attributes else "unknown"


def _width(shape: tuple[int | None, ...] | None) -> int | None:
    """How many values of a row one axis holds; 1 for a single value, None where it cannot be told."""
    if shape is None:
        return None
    if len(shape) <= 1:
        return 1
    return shape[-1]


def _plain(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in np.atleast_1d(values))
