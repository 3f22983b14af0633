"""Writes a SavedModel with one signature, for models that come without one. Runs in the model's process alone."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audits.models.preload import import_tensorflow
from audits.models.runtime import Refused, choose_device, require_registered
from audits.models.telling import telling
from audits.sources.graph.choice import DEFAULT_SIGNATURE
from audits.sources.model.keras_config import custom_code
from schemas.problem import ModelError

_UNKNOWN_CLASS = re.compile(r"(?:[Uu]nknown (?:layer|object)|[Cc]ould not locate (?:class|function)):? '?([\w>]+)'?")


def export(order: Mapping[str, Any]) -> str:
    """Write the SavedModel, and say what was done.

    Args:
        order: source, target, function, tags and ops; see `audits.sources.model.opening.Export`.

    Raises:
        Refused: `keras_custom_code`, `keras_weights_only`, `keras_not_built`, `op_unsupported`, `model_load_failed`.
    """
    tf = import_tensorflow()
    choose_device(tf, "cpu")
    tempfile.tempdir = str(Path(order["target"]).parent)  # what TensorFlow leaves behind goes with it
    if order["function"] is None:
        return _export_keras(Path(order["source"]), Path(order["target"]))
    require_registered(order["ops"])
    return _export_function(tf, order)


def _export_keras(source: Path, target: Path) -> str:
    import keras  # noqa: PLC0415 - here alone, and after TensorFlow

    is_hdf5 = source.suffix == ".h5"
    if is_hdf5:
        _require_whole_and_safe(source)
    try:
        model = keras.saving.load_model(source, compile=False, safe_mode=True)
    except Exception as error:
        raise _unreadable(error, keras.__version__) from error
    if not model.built:
        raise Refused(
            "keras_not_built",
            "The Keras model has never been called, so the shapes of its inputs are not known. Call it on a batch "
            "before you save it, or begin it with keras.Input(shape).",
        )
    try:
        model.export(str(target), format="tf_saved_model", verbose=False)
    except Exception as error:
        raise Refused(
            "model_load_failed",
            f"Keras {keras.__version__} cannot export the model as a SavedModel: {telling(error)} Load it where it "
            "was trained and write it with model.export(folder).",
        ) from error
    kind = "an HDF5 file" if is_hdf5 else "a Keras file"
    return f"{kind}: loaded with Keras {keras.__version__} in safe mode and exported to a SavedModel for this audit"


def _require_whole_and_safe(source: Path) -> None:
    """HDF5 holds a whole model, or weights alone."""
    import h5py  # noqa: PLC0415 - comes with Keras

    try:
        with h5py.File(source, "r") as file:
            raw = file.attrs.get("model_config")
            config = None if raw is None else json.loads(raw)
    except (OSError, ValueError, RecursionError) as error:
        raise Refused("model_malformed", f"The HDF5 file cannot be read: {telling(error)}") from error
    if config is None:
        raise Refused(
            "keras_weights_only",
            "The HDF5 file holds weights without a model (save_weights). Build the model, load the weights into it and "
            "write it with model.export(folder).",
        )
    try:
        found = custom_code(config)
    except ModelError as error:
        raise Refused(error.code, error.detail) from None
    if found is not None:
        raise Refused("keras_custom_code", found.detail)


def _unreadable(error: Exception, version: str) -> Refused:
    unknown = _UNKNOWN_CLASS.search(str(error))
    if unknown is not None:
        return Refused(
            "keras_custom_code",
            f"The Keras file holds a layer of the class {unknown[1]!r}, which Keras {version} does not have: it is "
            "custom code, or of another version of Keras. Load the model where it was trained and write it with "
            "model.export(folder).",
        )
    return Refused(
        "model_load_failed",
        f"Keras {version} cannot load the file: {telling(error)} Load it where it was trained and write it with "
        "model.export(folder).",
    )


def _export_function(tf: Any, order: Mapping[str, Any]) -> str:
    """A function of a saved object as a signature: its tensors become inputs, its other arguments stay as traced."""
    try:
        loaded = tf.saved_model.load(order["source"], tags=order["tags"])
        function = getattr(loaded, order["function"])
        arguments = _traced(tf, function)
    except Refused:
        raise
    except Exception as error:
        raise Refused("model_load_failed", f"TensorFlow cannot load the model: {telling(error)}") from error
    flat = tf.nest.flatten(arguments)
    specs = [spec for spec in flat if isinstance(spec, tf.TensorSpec)]
    named = _uniquely_named(tf, specs)

    def serve(*tensors: Any) -> dict[str, Any]:
        given = iter(tensors)
        filled = [next(given) if isinstance(spec, tf.TensorSpec) else spec for spec in flat]
        positional, keyword = tf.nest.pack_sequence_as(arguments, filled)
        answer = function(*positional, **keyword)
        if isinstance(answer, dict):
            return answer
        return {f"output_{place}": tensor for place, tensor in enumerate(tf.nest.flatten(answer))}

    module = tf.Module()
    module.loaded = loaded
    try:
        concrete = tf.function(serve, input_signature=named, autograph=False).get_concrete_function()
        tf.saved_model.save(module, order["target"], signatures={DEFAULT_SIGNATURE: concrete})
    except Exception as error:
        raise Refused(
            "signature_missing",
            f"The function {order['function']!r} cannot be made a signature: {telling(error)} Export the model with "
            "signatures= of tf.saved_model.save.",
        ) from error
    return "exported with it as a signature for this audit"


def _traced(tf: Any, function: Any) -> Any:
    """Positional and keyword arguments of the one trace that takes tensors alone, as specifications."""
    traces = list(getattr(function, "concrete_functions", [function]))
    structures = [trace.structured_input_signature for trace in traces]
    usable = []
    for structure in structures:
        specs = [spec for spec in tf.nest.flatten(structure) if isinstance(spec, tf.TypeSpec)]
        if specs and all(isinstance(spec, tf.TensorSpec) for spec in specs):
            usable.append(structure)
    # a trace for training comes beside the one for inference
    calm = [one for one in usable if True not in [spec for spec in tf.nest.flatten(one) if isinstance(spec, bool)]]
    if not calm:
        raise Refused(
            "signature_missing",
            "The model has no signature, and its function was not traced with dense tensors alone. Export it with "
            "signatures= of tf.saved_model.save.",
        )
    return calm[0]


def _uniquely_named(tf: Any, specs: list[Any]) -> list[Any]:
    taken: set[str] = set()
    named = []
    for place, spec in enumerate(specs):
        name = re.sub(r"\W", "_", spec.name or f"input_{place}")
        name = f"{name}_{place}" if name in taken else name
        taken.add(name)
        named.append(tf.TensorSpec(spec.shape, spec.dtype, name))
    return named
