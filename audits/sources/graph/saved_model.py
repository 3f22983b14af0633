"""What a SavedModel's protobuf says, read without TensorFlow and before anything of the model runs."""

import math
import re
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from audits.artefacts import ModelDescription, TensorSpec
from audits.sources.graph.messages import saved_model_class
from audits.sources.graph.output_ops import OutputOps
from audits.sources.naming import listed
from schemas.problem import ModelError

PB = "saved_model.pb"
FIELD = "model.uri"
DEFAULT_SIGNATURE = "serving_default"
MAX_PB_BYTES = 2**30
MAX_MODEL_FILES = 10_000
# TensorFlow's own bookkeeping, which it stores beside the user's signatures.
_INTERNAL = "__saved_model"

# DataType of tensorflow/core/framework/types.proto, by numpy's name.
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
}
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_VARIABLE_OPS = frozenset({"VarHandleOp", "VariableV2", "Variable"})


def describe_model(path: Path, *, signature: str | None = None, tags: Sequence[str] = ("serve",)) -> ModelDescription:
    """Signatures, tensors and the like of the SavedModel in a folder, or of the newest version in it.

    Args:
        path: the model's folder, or a folder of numbered versions.
        signature: default: `serving_default`, else the only one.
        tags: of the meta graph.

    Raises:
        ModelError: `model_not_found`, `not_a_saved_model`, `model_malformed`, `model_too_large`, `model_incomplete`,
            `model_path_escape`, `tags_missing` or `signature_missing`, saying what there is instead.
    """
    folder = _folder(path)
    _require_no_escape(folder)
    meta_graph = _meta_graph(_parse(folder / PB), tags, folder)
    chosen = _signature(meta_graph, signature, folder)
    _require_variables(folder, meta_graph)
    definition = meta_graph.signatures[chosen]
    ops = OutputOps(meta_graph.graph)
    behind = {name: ops.behind(tensor.name) for name, tensor in definition.outputs.items()}
    return ModelDescription(
        path=str(folder),
        signature=chosen,
        signatures=tuple(_signature_names(meta_graph)),
        tags=tuple(tags),
        inputs=_specs(definition.inputs),
        outputs=_specs(definition.outputs),
        tensorflow_version=meta_graph.meta_info.tensorflow_version or "unknown",
        parameters=_parameters(meta_graph, definition),
        output_ops={name: op for name, op in sorted(behind.items()) if op is not None},
    )


def meta_graph_of(description: ModelDescription) -> Any:
    """The protobuf that a description was made of.

    Raises:
        ModelError: it is gone, or has changed.
    """
    folder = Path(description.path)
    return _meta_graph(_parse(folder / PB), description.tags, folder)


def _folder(path: Path) -> Path:
    """The folder that holds saved_model.pb."""
    if not path.exists():
        raise ModelError(
            "model_not_found", f"There is no folder {path}. Check the address.", field=FIELD, file=str(path)
        )
    if path.is_file() and path.name == PB:
        path = path.parent
    if (path / PB).exists():
        return path
    if path.is_dir():
        versions = [p for p in path.iterdir() if p.name.isdecimal() and (p / PB).exists()]
        if versions:
            return max(versions, key=lambda p: int(p.name))
    raise ModelError(
        "not_a_saved_model",
        f"{path} is no SavedModel: {_found(path)}. Give the folder that model.export(...) or tf.saved_model.save(...) "
        f"wrote, with {PB} in it.",
        field=FIELD,
        file=str(path),
    )


def _require_no_escape(folder: Path) -> None:
    """A link out of the folder would let a model read other files as its weights or vocabularies."""
    home = folder.resolve()
    for path in islice(folder.rglob("*"), MAX_MODEL_FILES):
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            raise ModelError(
                "model_path_escape",
                f"{path} is a link to a file outside the model's folder. Copy the file in its place.",
                field=FIELD,
                file=str(path),
            )


def _found(path: Path) -> str:
    """What there is instead of a SavedModel, and what to do about it."""
    convert = "load it with keras.models.load_model and write it with model.export(folder)"
    if path.is_file():
        kinds = {
            ".keras": f"it is a Keras file; {convert}",
            ".h5": f"it is an HDF5 file; {convert}",
            ".hdf5": f"it is an HDF5 file; {convert}",
            ".tflite": "it is a TensorFlow Lite model; export the model that it was converted from",
            ".onnx": "it is an ONNX model, not one of TensorFlow",
            ".zip": "it is an archive; unpack it and give the folder",
            ".gz": "it is an archive; unpack it and give the folder",
            ".tar": "it is an archive; unpack it and give the folder",
            ".pb": f"it is a single graph file; a SavedModel is a folder with {PB}",
        }
        return kinds.get(path.suffix.lower(), "it is a file, not a folder")
    if not path.is_dir():
        return "it is neither a file nor a folder"
    names = sorted(p.name for p in path.iterdir())
    if not names:
        return "the folder is empty"
    if "saved_model.pbtxt" in names:
        return "it holds the text form saved_model.pbtxt, which is not read; save the model again"
    inner = [name for name in names if (path / name / PB).exists()]
    if inner:
        return (
            f"but {listed(inner, 5)} in it is; name that one"
            if len(inner) == 1
            else f"but {listed(inner, 5)} in it are; name one"
        )
    return f"the folder holds {listed(names, 10)}"


def _parse(path: Path) -> Any:
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise _malformed(path, "it is not a regular file")
    if info.st_size > MAX_PB_BYTES:
        raise ModelError(
            "model_too_large",
            f"{path} has {info.st_size:,} bytes; at most {MAX_PB_BYTES:,} are read. Keep large constants in variables.",
            field=FIELD,
            file=str(path),
        )
    try:
        saved_model = saved_model_class().FromString(path.read_bytes())
    except DecodeError:
        # also where messages are nested deeper than the parser's limit of 100
        raise _malformed(path, "it is no protobuf of a SavedModel, or was cut off") from None
    except PermissionError:
        raise ModelError(
            "model_unreadable", f"The service may not read {path}: grant it access.", field=FIELD, file=str(path)
        ) from None
    if not saved_model.meta_graphs:
        raise _malformed(path, "it holds no graph")
    return saved_model


def _malformed(path: Path, why: str) -> ModelError:
    return ModelError(
        "model_malformed",
        f"{path} cannot be read: {why}. Copy or export the model again.",
        field=FIELD,
        file=str(path),
    )


def _meta_graph(saved_model: Any, tags: Sequence[str], folder: Path) -> Any:
    wanted = set(tags)
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info.tags) == wanted:
            return meta_graph
    there = [" + ".join(sorted(m.meta_info.tags)) or "no tags" for m in saved_model.meta_graphs]
    raise ModelError(
        "tags_missing",
        f"The model has no graph with the tags {' + '.join(sorted(wanted))}; it has {listed(there)}. "
        "Name those in model.tags.",
        field="model.tags",
        file=str(folder),
    )


def _signature_names(meta_graph: Any) -> list[str]:
    return sorted(name for name in meta_graph.signatures if not name.startswith(_INTERNAL))


def _signature(meta_graph: Any, requested: str | None, folder: Path) -> str:
    """The signature to run.

    Raises:
        ModelError: `signature_missing`.
    """
    names = _signature_names(meta_graph)
    if requested is None and DEFAULT_SIGNATURE in names:
        requested = DEFAULT_SIGNATURE
    if requested is None and len(names) == 1:
        requested = names[0]
    if requested in names and meta_graph.signatures[requested].outputs:
        return requested
    if not names:
        why = (
            "The model has no signature, so it cannot be called. Export it with model.export(folder), or pass "
            "signatures= to tf.saved_model.save."
        )
    elif requested is None:
        why = f"The model has several signatures: {listed(names)}. Name one in model.signature."
    elif requested in names:
        why = f"The signature {requested!r} has no outputs. Name another in model.signature; there is {listed(names)}."
    else:
        why = f"The model has no signature {requested!r}; it has {listed(names)}."
    raise ModelError("signature_missing", why, field="model.signature", file=str(folder))


def _require_variables(folder: Path, meta_graph: Any) -> None:
    """Weights that the graph restores must lie beside it."""
    if not _has_variables(meta_graph):
        return
    index = folder / "variables" / "variables.index"
    if not index.is_file() or not any(index.parent.glob("variables.data-*-of-*")):
        raise ModelError(
            "model_incomplete",
            f"The model has variables, but {index.parent} does not hold variables.index and variables.data-*. "
            "Copy the whole folder.",
            field=FIELD,
            file=str(index.parent),
        )


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, tensors[name]) for name in sorted(tensors))


def _spec(name: str, tensor: Any) -> TensorSpec:
    dtype = "sparse" if tensor.HasField("sparse") else type_of(tensor.dtype)
    return TensorSpec(name, dtype, shape_of(tensor.shape))


def type_of(number: int) -> str:
    # reference types of TensorFlow 1 are counted from 100
    return _DTYPES.get(number % 100, f"type {number}")


def shape_of(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if d.size < 0 else int(d.size) for d in shape.dimensions)


def _parameters(meta_graph: Any, signature: Any) -> int | None:
    """How many trained numbers the signature uses; None where the graph does not say.

    Counted from the graph and not from the saved objects: Keras stores every variable twice.
    """
    frozen = _names_of_variables(meta_graph, trainable=False) - _names_of_variables(meta_graph, trainable=True)
    nodes = [node for node in _used_nodes(meta_graph.graph, signature) if node.op in _VARIABLE_OPS]
    sizes = [(_size_of(node), not _is_any_of(_name_of(node), frozen)) for node in nodes if _is_float(node)]
    known = [(size, is_trained) for size, is_trained in sizes if size is not None]
    trained = [size for size, is_trained in known if is_trained]
    return sum(trained or [size for size, _ in known]) if known else None


def _used_nodes(graph: Any, signature: Any) -> Iterator[Any]:
    """The nodes that the signature's outputs follow from."""
    nodes = {node.name: node for node in graph.nodes}
    waiting = [tensor.name for tensor in signature.outputs.values()]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop().lstrip("^").split(":")[0]
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        yield nodes[name]
        waiting.extend(nodes[name].inputs)


def _names_of_variables(meta_graph: Any, *, trainable: bool) -> set[str]:
    variables = [saved.variable for saved in meta_graph.objects.nodes if saved.HasField("variable")]
    return {variable.name for variable in variables if variable.trainable == trainable}


def _is_any_of(name: str, names: set[str]) -> bool:
    """Also where a copy's name was made unique with a number."""
    return name in names or re.sub(r"_\d+$", "", name) in names


def _has_variables(meta_graph: Any) -> bool:
    saved = any(saved.HasField("variable") for saved in meta_graph.objects.nodes)
    return saved or any(node.op in _VARIABLE_OPS for node in meta_graph.graph.nodes)


def _name_of(node: Any) -> str:
    """The variable's own name; the node's may carry a number."""
    shared = node.attributes["shared_name"].bytes.decode("utf-8", "replace") if "shared_name" in node.attributes else ""
    return shared or str(node.name)


def _is_float(node: Any) -> bool:
    return "dtype" in node.attributes and type_of(node.attributes["dtype"].type) in _FLOATS


def _size_of(node: Any) -> int | None:
    sizes = shape_of(node.attributes["shape"].shape) if "shape" in node.attributes else None
    return None if sizes is None or None in sizes else math.prod(size for size in sizes if size is not None)
