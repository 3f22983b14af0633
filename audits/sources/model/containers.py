"""What lies at a model's address, told by content and not by name."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audits.naming import listed
from audits.sources.graph.files import PB
from audits.sources.model.archives import FIELD, is_archive
from audits.sources.model.keras_config import CONFIG, WEIGHTS, is_keras_file
from schemas.problem import ModelError

HDF5 = b"\x89HDF\r\n\x1a\n"
HEAD_BYTES = 512
# How far below the address a model is looked for, and among how many folders.
MAX_DEPTH, MAX_FOLDERS = 3, 2_000
KERAS_SUFFIXES = frozenset({".keras", ".h5", ".hdf5"})

Kind = Literal["saved_model", "keras", "archive"]


@dataclass(frozen=True)
class Container:
    """What holds the model.

    Attributes:
        kind: a folder with saved_model.pb, a whole model of Keras (zip or HDF5), or an archive of any of these.
        path: of it.
        note: why this one, where the address named another; for the report.
    """

    kind: Kind
    path: Path
    note: str | None = None


def locate(path: Path) -> Container:
    """The model at an address: itself, the newest of numbered versions, or the only one below a folder.

    Raises:
        ModelError: `model_not_found`, `not_a_saved_model`, `model_ambiguous`, `model_malformed`, `model_unreadable`.
    """
    try:
        if not path.exists():
            raise ModelError(
                "model_not_found", f"There is no folder {path}. Check the address.", field=FIELD, file=str(path)
            )
        if path.name == PB and not path.is_symlink():
            path = path.parent
        return _below(path) if path.is_dir() else _file(path)
    except PermissionError:
        raise ModelError(
            "model_unreadable", f"The service may not read {path}: grant it access.", field=FIELD, file=str(path)
        ) from None


def _file(path: Path) -> Container:
    if not stat.S_ISREG(path.stat().st_mode):
        raise _no_model(path, "it is neither a file nor a folder")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(HDF5) or (head.startswith(b"PK") and is_keras_file(path)):
        return Container("keras", path)
    if is_archive(head):
        return Container("archive", path)
    raise _no_model(path, _instead(path))


def _below(folder: Path) -> Container:
    if (folder / PB).exists():
        return Container("saved_model", folder)
    folders, files = _models_below(folder)
    if folders:
        return Container("saved_model", *_one_of(folder, folders))
    if len(files) == 1:
        return Container("keras", files[0], f"{files[0].name}, the only model in {folder.name}")
    if files:
        raise _ambiguous(folder, files)
    raise _no_model(folder, _held_instead(folder))


def _models_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders of SavedModels, and whole models of Keras where there are none of those."""
    found: list[Path] = []
    files: list[Path] = []
    for place, names in _walk(folder):
        if PB in names:
            found.append(place)
        files.extend(place / name for name in names if _is_whole_keras(place / name))
    return found, files


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders with the names of their files, not following links."""
    for seen, (place, folders, files) in enumerate(os.walk(folder, followlinks=False)):
        depth = len(Path(place).relative_to(folder).parts)
        yield Path(place), sorted(files)
        if PB in files or depth >= MAX_DEPTH or seen > MAX_FOLDERS:
            folders[:] = []
        else:
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))


def _is_whole_keras(path: Path) -> bool:
    if path.suffix.lower() not in KERAS_SUFFIXES or path.name.endswith(".weights.h5") or path.is_symlink():
        return False
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return head.startswith(HDF5) or (head.startswith(b"PK\x03\x04") and is_keras_file(path))


def _one_of(folder: Path, models: Sequence[Path]) -> tuple[Path, str]:
    """The newest version, or the only model.

    Raises:
        ModelError: `model_ambiguous`.
    """
    if all(model.name.isdecimal() for model in models) and len({model.parent for model in models}) == 1:
        newest = max(models, key=lambda model: int(model.name))
        versions = sorted((model.name for model in models), key=int)
        return newest, f"version {newest.name}, the newest of {listed(versions, 10)}" if len(versions) > 1 else (
            f"version {newest.name}, the only one"
        )
    if len(models) == 1:
        return models[0], f"{models[0].relative_to(folder)}, the only SavedModel in {folder.name}"
    raise _ambiguous(folder, models)


def _ambiguous(folder: Path, models: Sequence[Path]) -> ModelError:
    names = [str(model.relative_to(folder)) for model in models]
    return ModelError(
        "model_ambiguous",
        f"The folder {folder} holds {len(names)} models: {listed(names, 10)}. Name one of them in model.uri.",
        field=FIELD,
        file=str(folder),
    )


def _no_model(path: Path, found: str) -> ModelError:
    return ModelError(
        "not_a_saved_model",
        f"{path} is not a readable model: {found}. Give the folder that model.export(...) or "
        f"tf.saved_model.save(...) wrote, with {PB} in it, or a whole model as .keras or .h5.",
        field=FIELD,
        file=str(path),
    )


def _instead(path: Path) -> str:
    """What a file is, by its name: its content told nothing."""
    kinds = {
        ".keras": "the suffix is .keras, the content is not; save it again with model.save(...)",
        ".h5": "the suffix is .h5, the content is not; copy or save it again",
        ".hdf5": "the suffix is .hdf5, the content is not; copy or save it again",
        ".tflite": "it is a TensorFlow Lite model; export the model that it was converted from",
        ".onnx": "it is an ONNX model, not one of TensorFlow",
        ".zip": "the suffix is .zip, the content is not; pack it again",
        ".gz": "the suffix is .gz, the content is not; pack it again",
        ".tar": "the suffix is .tar, the content is not; pack it again",
        ".pb": f"it is a single graph file without signatures; a SavedModel is a folder with {PB}",
        ".meta": "it is a checkpoint of TensorFlow 1; restore it and write it with simple_save",
        ".index": "it is a part of a checkpoint, which holds weights alone; export the whole model",
    }
    return kinds.get(path.suffix.lower(), "it is a file, not a folder")


def _held_instead(folder: Path) -> str:
    names = sorted(child.name for child in folder.iterdir())
    if not names:
        return "the folder is empty"
    if "saved_model.pbtxt" in names:
        return "it holds the text form saved_model.pbtxt, which is not read; save the model again"
    if {CONFIG, WEIGHTS} <= set(names):
        return f"it is an unpacked Keras file; pack {CONFIG}, metadata.json and {WEIGHTS} as a zip named model.keras"
    if any(name.endswith(".weights.h5") for name in names):
        return "it holds weights without a model; load them into the model and write it with model.export(folder)"
    if any(name.endswith((".meta", ".index")) for name in names) or "checkpoint" in names:
        return "it holds a checkpoint, which has weights and no signature; restore it and export the whole model"
    return f"the folder holds {listed(names, 10)}"
