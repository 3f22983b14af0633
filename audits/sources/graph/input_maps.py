"""What a graph does to its inputs before its first real layer: x -> scale * x + offset, value by value.

Normalization, Rescaling, a BatchNormalization that comes first, and whatever users write by hand, are all such maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audits.artefacts import Array, Place
from audits.sources.graph.dataflow import Tensor
from audits.sources.graph.values import MAX_DEPTH, GraphValues

PASSED = frozenset({"Cast", "EnsureShape"})
RESHAPES = frozenset({"Reshape", "Squeeze", "ExpandDims"})
SUMS = frozenset({"Add", "AddV2", "BiasAdd", "BiasAddV1"})
QUOTIENTS = frozenset({"RealDiv", "Div"})
FUSED = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})


@dataclass(frozen=True)
class InputMap:
    """scale * x + offset of some places.

    Attributes:
        places: in order; those of an input whose width is unknown count as one, without a position.
        scale, offset: (places,) or (1,).
        steps: ops that made the map, in order.
        name: of the node that made the last step.
    """

    places: tuple[Place, ...]
    scale: Array
    offset: Array
    steps: tuple[str, ...] = ()
    name: str = ""

    def then(self, op: str, scale: Array | float, offset: Array | float, name: str) -> "InputMap | None":
        """Another map after this one; None where its constants have another width."""
        a, b = (np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in (scale, offset))
        try:
            width = np.broadcast_shapes(a.shape, b.shape, self.scale.shape, (len(self.places),))
        except ValueError:
            return None
        if len(self.places) == 1 and self.places[0].position is None and width[0] > 1:
            # the constants tell how wide the input is
            places = tuple(replace(self.places[0], position=i) for i in range(width[0]))
        elif width[0] != len(self.places):
            return None
        else:
            places = self.places
        return InputMap(places, a * self.scale, a * self.offset + b, (*self.steps, op), name)

    def at_places(self) -> tuple[Array, Array]:
        """Scale and offset, (places,) each."""
        return tuple(np.broadcast_to(part, (len(self.places),)) for part in (self.scale, self.offset))  # type: ignore[return-value]


@dataclass(frozen=True)
class BatchNormOp:
    """A batch normalisation at inference: of `x`, with these statistics."""

    name: str
    x: Tensor | None
    mean: Array
    variance: Array
    map: InputMap | None = None


class InputMaps:
    """Finds the maps of a graph.

    Args:
        values: of the graph.
        inputs: name of a placeholder's node -> name and width (None: unknown, or more than one axis) of the input.
    """

    def __init__(self, values: GraphValues, inputs: dict[str, tuple[str, int | None]]) -> None:
        self._values, self._flow, self._inputs = values, values.flow, inputs
        self._known: dict[tuple[int, str, int], InputMap | None] = {}
        self._inside_batch_norms: set[tuple[int, str, int]] = set()

    def of(self, tensor: Tensor | None, depth: int = 0) -> InputMap | None:
        """The map that makes this tensor out of inputs; None where it is anything else."""
        if tensor is None or depth > MAX_DEPTH or tensor.key in self._inside_batch_norms:
            return None
        if tensor.key not in self._known:
            self._known[tensor.key] = self._found(tensor, depth)
        return self._known[tensor.key]

    def batch_norms(self, tensors: Sequence[Tensor]) -> list[BatchNormOp]:
        """Every batch normalisation among the tensors, with the map before it where that is one of inputs."""
        found = [norm for tensor in tensors if (norm := self._fused(tensor) or self._unfused(tensor)) is not None]
        return [replace(norm, map=self.of(norm.x)) for norm in found]

    def ends(self, tensors: Sequence[Tensor]) -> list[InputMap]:
        """The maps that something else than another map takes in: what the first layers get to see."""
        ends: dict[tuple[int, str, int], InputMap] = {}
        for tensor in tensors:
            if self.of(tensor) is not None:
                continue
            for given in self._flow.inputs(tensor):
                found = self.of(given)
                if given is not None and found is not None and found.steps:
                    ends[given.key] = found
        return list(ends.values())

    def _found(self, tensor: Tensor, depth: int) -> InputMap | None:
        op, inputs = tensor.op, self._flow.inputs(tensor)
        if op == "Placeholder":
            return self._input(tensor.node)
        if op in PASSED and inputs:
            return self.of(inputs[0], depth + 1)
        if op in RESHAPES and inputs:
            before = self.of(inputs[0], depth + 1)
            return before if before is not None and len(before.places) == 1 else None
        if op == "ConcatV2":
            return self._joined([self.of(given, depth + 1) for given in inputs[:-1]])
        if op == "StridedSlice":
            return self._sliced(tensor, inputs, depth)
        if op in SUMS | QUOTIENTS | {"Sub", "Mul"} and len(inputs) == 2:
            return self._arithmetic(op, tensor, inputs, depth)
        return None

    def _input(self, node: Any) -> InputMap | None:
        if node.name not in self._inputs:
            return None
        name, width = self._inputs[node.name]
        positions: Sequence[int | None] = range(width) if width is not None and width > 1 else (None,)
        return InputMap(tuple(Place(name, position) for position in positions), np.ones(1), np.zeros(1))

    def _arithmetic(self, op: str, tensor: Tensor, inputs: list[Tensor | None], depth: int) -> InputMap | None:
        left, right = inputs
        before, other, is_left = self.of(left, depth + 1), right, True
        if before is None:
            before, other, is_left = self.of(right, depth + 1), left, False
        constant = None if before is None else _along_last_axis(self._values.of(other))
        if before is None or constant is None or (op in QUOTIENTS and not is_left):
            return None
        name = str(tensor.node.name)
        if op in SUMS:
            return before.then("add", 1.0, constant, name)
        if op == "Sub":
            return before.then("sub", 1.0, -constant, name) if is_left else before.then("turn", -1.0, constant, name)
        if op in QUOTIENTS:
            with np.errstate(divide="ignore"):
                return before.then("div", 1 / constant, 0.0, name)
        return before.then("mul", constant, 0.0, name)

    def _joined(self, parts: list[InputMap | None]) -> InputMap | None:
        """Along the last axis, which is the only one that layers join inputs on."""
        known = [part for part in parts if part is not None]
        if not parts or len(known) != len(parts):
            return None
        scales, offsets = zip(*(part.at_places() for part in known), strict=True)
        steps = next((part.steps for part in known if part.steps), ())
        name = next((part.name for part in known if part.name), "")
        places = tuple(place for part in known for place in part.places)
        return InputMap(places, np.concatenate(scales), np.concatenate(offsets), steps, name)

    def _sliced(self, tensor: Tensor, inputs: list[Tensor | None], depth: int) -> InputMap | None:
        """Some columns of a matrix."""
        before = self.of(inputs[0], depth + 1) if inputs else None
        if before is None or len(before.places) == 1:
            return None
        chosen = self._values.columns(tensor, len(before.places))
        if chosen is None:
            return None
        scale, offset = before.at_places()
        places = tuple(before.places[column] for column in chosen)
        return InputMap(places, scale[chosen], offset[chosen], before.steps, before.name)

    def _fused(self, tensor: Tensor) -> BatchNormOp | None:
        if tensor.op not in FUSED:
            return None
        inputs = self._flow.inputs(tensor)
        mean, variance = (self._values.of(given) for given in inputs[3:5])
        if mean is None or variance is None or not mean.size:
            return None
        return BatchNormOp(tensor.node.name, inputs[0], mean.ravel(), variance.ravel())

    def _unfused(self, tensor: Tensor) -> BatchNormOp | None:
        """As tf.nn.batch_normalization: x * i + (offset - mean * i), where i = rsqrt(variance + epsilon) [* gamma]."""
        if tensor.op not in SUMS:
            return None
        product, rest = (*self._flow.inputs(tensor), None)[:2]
        if product is None or rest is None or product.op != "Mul" or rest.op not in {"Sub", "Mul"}:
            return None
        x, inverse = self._flow.inputs(product)
        shifted = rest if rest.op == "Mul" else self._flow.inputs(rest)[1]
        variance = self._under_root(inverse)
        if inverse is None or shifted is None or shifted.op != "Mul" or variance is None:
            return None
        mean, again = self._flow.inputs(shifted)
        value = self._values.of(mean)
        if again is None or again.key != inverse.key or value is None:
            return None
        self._inside_batch_norms |= {product.key, tensor.key}
        mean_value = -value if rest.op == "Mul" else value
        return BatchNormOp(tensor.node.name, x, mean_value.ravel(), variance.ravel())

    def _under_root(self, inverse: Tensor | None) -> Array | None:
        if inverse is not None and inverse.op == "Mul":
            inverse = self._flow.inputs(inverse)[0]
        if inverse is None or inverse.op != "Rsqrt":
            return None
        total = self._flow.inputs(inverse)[0]
        if total is None or total.op not in SUMS:
            return None
        variance = self._flow.inputs(total)[0]
        return self._values.of(variance) if self._values.variable(variance) is not None else None


def _along_last_axis(value: Array | None) -> Array | None:
    """A constant as one number a place, (1,) or (places,); None where it varies along another axis."""
    if value is None or value.dtype == object or not value.size or not np.isfinite(value).all():
        return None
    if value.size == 1:
        return value.reshape(1).astype(np.float64)
    return value.reshape(-1).astype(np.float64) if value.size == value.shape[-1] else None
