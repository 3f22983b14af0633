"""What a SavedModel's protobuf says, read without TensorFlow and before anything of the model runs."""

import math
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from audits.artefacts import ExampleFeature, LineFormat, ModelDescription, TensorSpec
from audits.naming import listed
from audits.sources.graph.choice import choose_meta_graph, choose_signature, signature_names
from audits.sources.graph.files import FIELD, PB, require_assets, require_no_escape, require_variables
from audits.sources.graph.foreign_ops import require_known_ops
from audits.sources.graph.inputs import input_specs, tensors_of
from audits.sources.graph.messages import saved_model_class
from audits.sources.graph.output_ops import OutputOps
from audits.sources.graph.parse_spec import parsed_features
from audits.sources.graph.permitted import require_permitted
from audits.sources.graph.protobuf import shape_of, type_of
from audits.sources.graph.purpose import require_predictions
from audits.sources.graph.reach import Reach, all_ops
from audits.sources.graph.scalars import fixed_inputs, unfed_placeholders
from schemas.problem import ModelError

MAX_PB_BYTES = 2**30
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_IMAGE_DECODERS = frozenset({"DecodeJpeg", "DecodePng", "DecodeImage", "DecodeGif"})
_VARIABLE_OPS = frozenset({"VarHandleOp", "VariableV2", "Variable"})


def describe_model(
    folder: Path,
    *,
    signature: str | None = None,
    tags: Sequence[str] | None = None,
    allowed_ops: frozenset[str] = frozenset(),
) -> ModelDescription:
    """Signatures, tensors and the like of the SavedModel in a folder.

    Args:
        folder: with saved_model.pb in it.
        signature: default: the one that answers with the model's own numbers, see `choose_signature`.
        tags: of the meta graph; default: the one for serving, else the only one.
        allowed_ops: that the operator allows beyond those that only compute.

    Raises:
        ModelError: `model_malformed`, `model_too_large`, `model_too_complex`, `model_incomplete`, `model_path_escape`,
            `model_forbidden_op`, `tags_missing`, `tags_ambiguous`, `signature_missing`, `op_unsupported`,
            `preprocessing_only` or `inputs_unsupported`, saying what there is instead.
    """
    require_no_escape(folder)
    meta_graph, tags_reason = choose_meta_graph(parse(folder), tags, folder)
    require_permitted(meta_graph, allowed_ops)
    require_assets(folder, meta_graph)
    ops = all_ops(meta_graph.graph)
    chosen = choose_signature(meta_graph, signature, folder)
    definition = meta_graph.signatures[chosen.name]
    reach = Reach.of(meta_graph.graph, tensors_of(definition.outputs), tensors_of(definition.inputs))
    require_known_ops(ops, reach.ops)
    parameters = _parameters(meta_graph, reach)
    fixed = fixed_inputs(meta_graph.graph, definition, reach)
    inputs = input_specs(definition, {one.name for one in fixed})
    examples = _examples(meta_graph.graph, reach, inputs)
    features = [spec.name for spec in inputs] + [feature.name for found in examples.values() for feature in found]
    used_tags = tuple(tags) if tags is not None else tuple(sorted(meta_graph.meta_info.tags))
    require_predictions(used_tags, chosen.name, definition, reach, parameters=parameters, features=features)
    if _has_variables(meta_graph):
        require_variables(folder)
    _require_fed(unfed_placeholders(definition, reach, fixed))
    output_ops = OutputOps(meta_graph.graph)
    behind = {name: output_ops.behind(tensor.name) for name, tensor in definition.outputs.items()}
    notes = {"tags": tags_reason, "signature": chosen.reason, "state": _on_state(reach.updates())}
    return ModelDescription(
        path=str(folder),
        signature=chosen.name,
        signatures=tuple(signature_names(meta_graph)),
        tags=used_tags,
        inputs=inputs,
        outputs=_specs(definition.outputs),
        tensorflow_version=meta_graph.meta_info.tensorflow_version or "unknown",
        parameters=parameters,
        output_ops={name: op for name, op in sorted(behind.items()) if op is not None},
        notes={topic: note for topic, note in notes.items() if note is not None},
        is_version_1=not meta_graph.objects.nodes,
        ops=ops,
        fixed=fixed,
        examples=examples,
        lines=None if examples else _lines(reach, inputs),
        decodes_images=not examples and bool(reach.ops & _IMAGE_DECODERS) and [s.dtype for s in inputs] == ["string"],
    )


def meta_graph_of(description: ModelDescription) -> Any:
    """The protobuf that a description was made of.

    Raises:
        ModelError: it is gone, or has changed.
    """
    folder = Path(description.path)
    return choose_meta_graph(parse(folder), description.tags, folder)[0]


def parse(folder: Path) -> Any:
    """The protobuf of a SavedModel.

    Raises:
        ModelError: `model_malformed`, `model_too_large` or `model_unreadable`.
    """
    path = folder / PB
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


def _require_fed(unfed: Sequence[str]) -> None:
    """Every placeholder must be fed, or the session stops at it."""
    if unfed:
        raise ModelError(
            "inputs_unsupported",
            f"The outputs need {listed(unfed, 8)}, which the signature does not list among its inputs, and whose value "
            "cannot be guessed. Export a signature with all inputs, or give these placeholders a default.",
            field="model.signature",
        )


def _on_state(updates: Sequence[str]) -> str | None:
    if not updates:
        return None
    return (
        f"each call changes variables of the model ({listed(updates, 3)}): those that are not trained are set back "
        "before each call, so that rows of one call do not change the answers to those of the next. A model that runs "
        "in a session of TensorFlow 1 keeps them, and may answer otherwise when the audit is repeated"
    )


def _examples(graph: Any, reach: Reach, inputs: Sequence[TensorSpec]) -> dict[str, tuple[ExampleFeature, ...]]:
    """Of a signature that takes nothing but serialized messages."""
    if len(inputs) != 1 or inputs[0].dtype != "string" or len(inputs[0].shape or ()) > 1:
        return {}
    features = parsed_features(graph, reach)
    return {} if features is None else {inputs[0].name: features}


def _lines(reach: Reach, inputs: Sequence[TensorSpec]) -> LineFormat | None:
    """Of a signature that takes nothing but a vector of texts, which it decodes as CSV."""
    decoders = [node for _, node in reach.nodes() if node.op == "DecodeCSV"]
    if len(inputs) != 1 or inputs[0].dtype != "string" or len(inputs[0].shape or ()) > 1 or len(decoders) != 1:
        return None
    attributes = decoders[0].attributes
    selected = list(attributes["select_cols"].list.ints) if "select_cols" in attributes else []
    delimiter = attributes["field_delim"].bytes.decode("utf-8", "replace") if "field_delim" in attributes else ","
    n = len(attributes["OUT_TYPE"].list.types)
    return LineFormat(int(max(selected)) + 1 if selected else n, not selected, delimiter or ",")


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    shapes = {name: shape_of(tensors[name].shape) for name in sorted(tensors)}
    return tuple(TensorSpec(name, type_of(tensors[name].dtype), shape) for name, shape in shapes.items())


def _parameters(meta_graph: Any, reach: Reach) -> int | None:
    """How many trained numbers the signature uses; None where the graph does not say.

    Counted from the graph and not from the saved objects: Keras stores every variable twice.
    """
    frozen = _names_of_variables(meta_graph, trainable=False) - _names_of_variables(meta_graph, trainable=True)
    nodes = [node for node in reach.scopes[0].nodes.values() if node.op in _VARIABLE_OPS]
    sizes = [(_size_of(node), not _is_any_of(_name_of(node), frozen)) for node in nodes if _is_float(node)]
    known = [(size, is_trained) for size, is_trained in sizes if size is not None]
    trained = [size for size, is_trained in known if is_trained]
    return sum(trained or [size for size, _ in known]) if known else None


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
