"""The files of a SavedModel: which there must be, and that none of them leads elsewhere."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from audits.sources.graph.messages import asset_class
from schemas.problem import ModelError

FIELD = "model.uri"
PB = "saved_model.pb"
MAX_MODEL_FILES = 10_000
_PARTS = (PB, "fingerprint.pb", "keras_metadata.pb", "variables", "assets")
_ASSETS = "saved_model_assets"
# TensorFlow prefers it to the graph that we look through.
_IN_PIECES = "saved_model.cpb"
_PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f]{1,255}(/[^/\\\x00-\x1f]{1,255}){0,8}")


def model_files(folder: Path) -> tuple[Path, ...]:
    """The parts of a SavedModel in its folder: what else lies there, such as data, is not the model's to read."""
    home = folder.resolve()
    return tuple(folder / name for name in _PARTS if not home.is_relative_to((folder / name).resolve()))


def require_no_escape(folder: Path) -> None:
    """A link out of the folder would let a model read other files as its weights or vocabularies.

    Raises:
        ModelError: `model_path_escape`, `model_malformed`.
    """
    home = folder.resolve()
    for path in _below(folder):
        if path.is_symlink():
            if not path.resolve().is_relative_to(home):
                raise _escape(path, "is a link to a file outside the model's folder. Copy the file in its place")
        elif not stat.S_ISREG(mode := path.lstat().st_mode) and not stat.S_ISDIR(mode):
            raise _escape(path, "is a pipe, a socket or a device. Copy the model's own files alone")
    if (folder / _IN_PIECES).exists():
        raise ModelError(
            "model_malformed",
            f"The model's folder holds {_IN_PIECES} beside {PB}, so that it says two things. Export the model again.",
            field=FIELD,
            file=str(folder / _IN_PIECES),
        )


def _below(folder: Path) -> Iterator[Path]:
    """Everything in the model's parts, and what lies beside them; the folder may hold much that is no model."""
    for place, folders, files in os.walk(folder, followlinks=False):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name in _PARTS or (folder / name).is_symlink()]
        for count, name in enumerate((*folders, *files)):
            if count > MAX_MODEL_FILES and Path(place) != folder:
                raise ModelError(
                    "model_too_large",
                    f"The model's folder {Path(place).name} holds more than {MAX_MODEL_FILES:,} files.",
                    field=FIELD,
                )
            yield Path(place, name)


def require_variables(folder: Path) -> None:
    """Weights that the graph restores must lie beside it.

    Raises:
        ModelError: `model_incomplete`.
    """
    index = folder / "variables" / "variables.index"
    if not index.is_file() or not any(index.parent.glob("variables.data-*-of-*")):
        raise ModelError(
            "model_incomplete",
            f"The model has variables, but {index.parent} does not hold variables.index and variables.data-*. "
            "Copy the whole folder.",
            field=FIELD,
            file=str(index.parent),
        )


def assets_of(meta_graph: Any) -> list[Any]:
    """The files that come with a model, each with the tensor that its path is put into.

    Raises:
        ModelError: `model_malformed`.
    """
    packed = meta_graph.collections[_ASSETS].any_list.value if _ASSETS in meta_graph.collections else ()
    try:
        return [*meta_graph.assets, *(asset_class().FromString(one.value) for one in packed)]
    except DecodeError:
        raise ModelError(
            "model_malformed", "The list of the model's assets cannot be read. Export the model again.", field=FIELD
        ) from None


def require_assets(folder: Path, meta_graph: Any) -> None:
    """The files that the graph names, such as vocabularies, must lie in the folder for them.

    Raises:
        ModelError: `model_path_escape`, `model_incomplete`.
    """
    assets = folder / "assets"
    for name in (asset.filename for asset in assets_of(meta_graph)):
        path = assets / name
        if not _PLAIN_NAME.fullmatch(name) or ".." in Path(name).parts or Path(name).is_absolute():
            raise _escape(Path(ascii(name[:100])), "is no name of a file in the model's folder assets")
        if not path.exists():
            raise ModelError(
                "model_incomplete",
                f"The model reads assets/{ascii(name)[1:-1]}, which is not there. Copy the whole folder.",
                field=FIELD,
                file=str(path),
            )
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise _escape(path, "is no file in the model's folder")


def _escape(path: Path, why: str) -> ModelError:
    return ModelError("model_path_escape", f"{path} {why}.", field=FIELD, file=str(path))
