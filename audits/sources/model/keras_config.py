"""Whether a Keras model's configuration asks for code that is not Keras' own. Such code is never run."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audits.sources.model.archives import FIELD, zip_members
from schemas.problem import ModelError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_CONFIG_BYTES = 64 * 2**20
MAX_PARTS = 1_000_000
# What `compile` would need is not loaded, of the whole model; of models in it, it is.
_NOT_LOADED = frozenset({"compile_config", "training_config"})


@dataclass(frozen=True)
class CustomCode:
    """A part of a model that only its author's Python can make.

    Attributes:
        layer: name of the layer that it stands in.
        kind: class or function.
    """

    layer: str
    kind: str

    @property
    def detail(self) -> str:
        what = "runs Python code out of the file" if self.kind == "Lambda" else "is made by code that is not in Keras"
        return (
            f"The layer {self.layer!r} ({self.kind}) {what}, which is never run here. Load the model where it was "
            "trained and write it with model.export(folder): the exported SavedModel holds the layer as a graph."
        )


def is_keras_file(path: Path) -> bool:
    """Whether a zip file is what `model.save("name.keras")` writes."""
    return {CONFIG, WEIGHTS} <= {member.filename for member in zip_members(path)}


def require_no_custom_code(path: Path) -> None:
    """Read the configuration of a `.keras` file.

    Raises:
        ModelError: `keras_custom_code`, naming the layer; `model_malformed`.
    """
    sizes = {member.filename: member.file_size for member in zip_members(path)}
    if sizes[CONFIG] > MAX_CONFIG_BYTES:
        raise _malformed(path)
    try:
        with zipfile.ZipFile(path) as opened:
            config = json.loads(opened.read(CONFIG))
    except (ValueError, RecursionError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise _malformed(path) from None
    found = custom_code(config)
    if found is not None:
        raise ModelError("keras_custom_code", found.detail, field=FIELD, file=str(path))


def custom_code(config: Any) -> CustomCode | None:
    """The first part that is no class or function of Keras; None where all are.

    Raises:
        ModelError: `model_too_complex`.
    """
    for layer, part in _parts(config):
        kind = part.get("class_name")
        if kind in {"Lambda", "__lambda__"}:
            return CustomCode(layer, "Lambda")
        module, registered = part.get("module"), part.get("registered_name")
        of_keras = module is None or (isinstance(module, str) and module.split(".")[0] in {"keras", "builtins"})
        is_function = module == "builtins" and kind == "function"
        if not of_keras or is_function or (isinstance(registered, str) and ">" in registered):
            named = part.get("config") if is_function else registered or kind
            return CustomCode(layer, str(named)[:100])
    return None


def _parts(config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every serialized object, with the name of the layer that it stands in.

    Raises:
        ModelError: `model_too_complex`: there are too many to look at all of them.
    """
    whole = config
    waiting: list[tuple[str, Any]] = [("model", config)]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        layer, part = waiting.pop()
        if isinstance(part, list):
            waiting.extend((layer, inner) for inner in reversed(part))
        elif isinstance(part, dict):
            inner = part.get("config")
            named = inner.get("name") if isinstance(inner, dict) else None
            layer = named if isinstance(named, str) else layer
            if "class_name" in part:
                yield layer, part
            waiting.extend((layer, part[key]) for key in reversed(part) if part is not whole or key not in _NOT_LOADED)
    raise ModelError(
        "model_too_complex",
        f"The configuration of the Keras model has more than {MAX_PARTS:,} parts. Export it: model.export(folder).",
        field=FIELD,
    )


def _malformed(path: Path) -> ModelError:
    return ModelError(
        "model_malformed",
        f"The Keras file {path.name} cannot be read: its {CONFIG} is damaged. Save the model again.",
        field=FIELD,
        file=str(path),
    )
