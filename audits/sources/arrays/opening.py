"""Open the arrays of both splits: which array is for what, and whether the splits agree."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from audits.artefacts import SplitName
from audits.sources.arrays.hdf5_arrays import Hdf5Arrays
from audits.sources.arrays.numpy_files import ArrayFile, NpyFiles, NpzFile
from audits.sources.arrays.split import ArraySplit, open_array_split
from audits.sources.formats import Format
from audits.sources.labels import read_labels
from audits.sources.locations import Roots
from audits.sources.records.saved_dataset import SavedArrays
from schemas.data import Data
from schemas.problem import DataError, RequestError

# What people call the features and the labels, besides x and y: x_train, trainX, test_images, ...
_ROLES = {
    "x": frozenset({"x", "features", "feature", "images", "image", "data", "inputs", "input"}),
    "label": frozenset({"y", "labels", "label", "targets", "target", "classes"}),
}
_SPLIT_WORDS: Mapping[SplitName, frozenset[str]] = {
    "train": frozenset({"train", "training", "tr"}),
    "validation": frozenset({"validation", "valid", "val", "test", "testing", "dev", "eval"}),
}


def open_array_splits(
    data: Data,
    paths: Mapping[SplitName, Sequence[Path]],
    formats: Mapping[SplitName, Format],
    roots: Roots,
    *,
    max_rows: int | None,
) -> tuple[ArraySplit, ArraySplit]:
    """Both splits; see `audits.sources.open_splits`.

    Raises:
        RequestError, DataError: naming the field, and the file or array to blame.
    """
    _require_names(data)
    opened: list[ArraySplit] = []
    for name, found in paths.items():
        files = _open(data, name, found, formats[name], max_rows)
        external = read_labels(data, name, roots, max_rows=max_rows)
        named = [*files[0].headers, *files[0].unread]
        roles = array_roles(data, name, named, with_label=external is None)
        opened.append(open_array_split(name, files, roles, format_=formats[name], max_rows=max_rows, external=external))
    train, validation = opened
    if train.layout != validation.layout:
        held = {"table": "texts", "array": "numbers"}
        raise DataError(
            "column_types_differ",
            f"x holds {held[train.layout]} in the training data and {held[validation.layout]} in the validation data. "
            "Preprocess both in the same way.",
            field="data.validation.uri",
            file=validation.files[0],
            column="x",
        )
    if train.row_shape != validation.row_shape:
        raise DataError(
            "feature_shape_mismatch",
            f"A row of x has the shape {list(train.row_shape)} in the training data and {list(validation.row_shape)} "
            "in the validation data. Preprocess both in the same way.",
            field="data.validation.uri",
            file=validation.files[0],
        )
    return train, validation


def array_roles(data: Data, split: SplitName, names: Collection[str], *, with_label: bool) -> dict[str, str]:
    """Role -> array: x and y, or the only arrays that are called alike, for this split."""
    named = data.label if isinstance(data.label, str) else None
    only = next(iter(names)) if len(names) == 1 and not with_label else None
    roles = {"x": "x" if "x" in names else _called("x", split, names) or only or "x"}
    if with_label:
        roles["label"] = named or ("y" if "y" in names else _called("label", split, names) or "y")
    return roles | {role: str(column) for role, column in data.others.items()}


def _called(role: str, split: SplitName, names: Collection[str]) -> str | None:
    """The only array whose name says the role, and this split or none."""
    alike = [name for name in names if _says(name, role, split)]
    return alike[0] if len(alike) == 1 else None


def _says(name: str, role: str, split: SplitName) -> bool:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    words = {word for word in re.split(r"[\W_]+", spaced.lower()) if word}
    return bool(words & _ROLES[role]) and words <= _ROLES[role] | _SPLIT_WORDS[split]


def _open(data: Data, name: SplitName, paths: Sequence[Path], format_: Format, max_rows: int | None) -> list[ArrayFile]:
    field = f"data.{name}.uri"
    if format_ == "npz":
        return [NpzFile(path, field=field) for path in paths]
    if format_ == "saved_dataset":
        return [SavedArrays(path, field=field, max_rows=max_rows) for path in paths]
    if format_ == "hdf5":
        reference = data.train if name == "train" else data.validation
        return [Hdf5Arrays(path, reference.key, field=field) for path in paths]
    by_folder: dict[Path, list[Path]] = {}
    for path in paths:
        by_folder.setdefault(path.parent, []).append(path)
    return [NpyFiles(files, field=field) for files in by_folder.values()]


def _require_names(data: Data) -> None:
    """Columns of a table are named, positions and all; arrays have names alone."""
    if data.features is not None or data.exclude:
        field = "features" if data.features is not None else "exclude"
        raise RequestError(
            "features_not_applicable",
            f"data.{field} names columns of a table; these data are arrays, of which x is the features.",
            field=f"data.{field}",
        )
    for role, column in [("label", data.label), *data.others.items()]:
        if column is not None and not isinstance(column, str):
            raise RequestError(
                f"{role}_not_applicable",
                f"data.{role} gives a position or a list of columns; these data are arrays: name one.",
                field=f"data.{role}",
            )
