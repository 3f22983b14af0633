"""The inputs of a signature as users know them: a sparse tensor is one input, though the graph takes three."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from audits.artefacts import TensorSpec
from audits.sources.graph.protobuf import shape_of, type_of

# How the loader of TensorFlow 2 names the parts of a sparse input of TensorFlow 1.
SPARSE_PARTS = ("indices", "values", "dense_shape")


def tensors_of(named: Mapping[str, Any]) -> Iterator[str]:
    """Names of the graph's tensors behind the inputs or outputs of a signature."""
    for tensor in named.values():
        yield from parts_of(tensor).values() if tensor.HasField("sparse") else (tensor.name,)


def parts_of(tensor: Any) -> dict[str, str]:
    """Part of a sparse tensor -> the graph's tensor."""
    sparse = tensor.sparse
    return dict(zip(SPARSE_PARTS, (sparse.indices, sparse.values, sparse.dense_shape), strict=True))


def input_specs(definition: Any, fixed: Collection[str]) -> tuple[TensorSpec, ...]:
    """Inputs that take rows, by name.

    A signature of TensorFlow 2 lists the parts of a sparse tensor x as x, x_1 and x_2 and says nowhere that they
    belong together; their types and shapes do.
    """
    tensors = {name: definition.inputs[name] for name in sorted(definition.inputs) if name not in fixed}
    specs = {name: _spec(name, tensor) for name, tensor in tensors.items()}
    parts: set[str] = set()
    for name in list(specs):
        triple = _sparse_triple(name, specs)
        if triple is not None:
            specs[name] = triple
            parts.update(triple.components[1:])
    return tuple(spec for name, spec in specs.items() if name not in parts)


def ragged_pairs(specs: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Inputs x that may be ragged, with x_1 as their row splits; a signature of TensorFlow 2 does not tell."""
    found = {}
    for name, spec in specs.items():
        splits = specs.get(f"{name}_1")
        open_rows = spec.layout == "dense" and spec.shape is not None and len(spec.shape) >= 1 and spec.shape[0] is None
        if splits is not None and splits.dtype in {"int64", "int32"} and splits.shape == (None,) and open_rows:
            shape = (None, None, *(spec.shape or ())[1:])
            found[name] = TensorSpec(name, spec.dtype, shape, "ragged", (name, splits.name))
    return found


def _spec(name: str, tensor: Any) -> TensorSpec:
    if tensor.HasField("sparse"):
        components = tuple(f"{name}_{part}" for part in SPARSE_PARTS)
        return TensorSpec(name, type_of(tensor.dtype), shape_of(tensor.shape), "sparse", components)
    return TensorSpec(name, type_of(tensor.dtype), shape_of(tensor.shape))


def _sparse_triple(name: str, specs: Mapping[str, TensorSpec]) -> TensorSpec | None:
    """X of (values, rank) whole numbers, x_1 of (values,), x_2 of (rank,) whole numbers."""
    indices, values, shape = specs[name], specs.get(f"{name}_1"), specs.get(f"{name}_2")
    if values is None or shape is None or re.search(r"_[12]$", name):
        return None
    rank = indices.shape[1] if indices.shape is not None and len(indices.shape) == 2 else None
    is_sparse = (
        (indices.dtype, shape.dtype) == ("int64", "int64")
        and rank is not None
        and values.shape == (None,)
        and shape.shape == (rank,)
    )
    if not is_sparse or rank is None:
        return None
    return TensorSpec(name, values.dtype, (None,) * rank, "sparse", (name, values.name, shape.name))
