"""A split of images: one folder a class, as `keras.utils.image_dataset_from_directory` reads it.

Every image becomes float32 values from 0 to 255 in the size and with the channels that the model takes; its label
is the name of its class's folder. Files are decoded a batch at a time; their headers are judged before their pixels.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audits.artefacts import Array, Batch, Column, ModelDescription, Span, Split, SplitName
from audits.sources.formats import is_data
from audits.sources.images.image_file import ImageSize, decoded, size_of
from audits.sources.locations import Roots, require_regular, resolve, walk
from audits.sources.tables.split import empty
from schemas.data import Data
from schemas.problem import DataError, RequestError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
MAX_IMAGES = 500_000
BATCH_BYTES = 64 * 2**20
# Each may hold one large image.
THREADS = min(4, os.cpu_count() or 1)
MAX_CHANNELS = 4
MAX_FOLDERS_SEARCHED = 200
# Rows come in an order that does not depend on the classes, as they do in training.
ORDER_SEED = 0


@dataclass(frozen=True)
class ClassFiles:
    """The images of a split.

    Attributes:
        files: in the order of the rows.
        classes: (files,) the name of each file's folder.
        folders: that were named, for the report.
        skipped: files that are no images, by suffix.
    """

    files: tuple[Path, ...]
    classes: tuple[str, ...]
    folders: tuple[str, ...]
    skipped: dict[str, int]


class ImageFolderSplit:
    """Images of one size; see the module."""

    layout: Literal["table", "array"] = "array"
    columns: tuple[Column, ...] = ()

    def __init__(
        self, name: SplitName, found: ClassFiles, size: ImageSize, *, channels_first: bool, max_rows: int | None
    ) -> None:
        self.name = name
        self.files = found.folders
        self.row_shape: tuple[int, ...] = size.shape if not channels_first else (size.channels, size.height, size.width)
        self._found = found
        self._size = size
        self._channels_first = channels_first
        self._rows = len(found.files) if max_rows is None else min(max_rows, len(found.files))

    def batches(self, rows: int = 8192, span: Span | None = None) -> Iterator[Batch]:
        at_once, wanted = self._at_once(rows), span or Span(0, self._rows)
        with ThreadPoolExecutor(THREADS) as pool:
            for first in range(wanted.first, wanted.stop, at_once):
                which = slice(first, min(first + at_once, wanted.stop))
                images = np.stack(list(pool.map(self._image, self._found.files[which])))
                labels = np.array(self._found.classes[which], dtype=object)
                yield Batch(first, np.moveaxis(images, -1, 1).copy() if self._channels_first else images, labels)

    def starts(self, rows: int = 8192) -> tuple[int, ...]:
        return (*range(0, self._rows, self._at_once(rows)), self._rows)

    def _at_once(self, rows: int) -> int:
        return max(1, min(rows, BATCH_BYTES // (4 * int(np.prod(self.row_shape)))))

    def _image(self, path: Path) -> Array:
        return decoded(path, self._size, field=f"data.{self.name}.uri")

    def describe(self) -> dict[str, Any]:
        return {
            "files": list(self.files),
            "format": "images",
            "images": len(self._found.files),
            "classes": dict(sorted(Counter(self._found.classes).items())),
            "x": {"row_shape": list(self.row_shape), "dtype": "float32", "values": "0 to 255"},
            "resized": "bilinearly, without antialiasing and without keeping the aspect ratio, as "
            "keras.utils.image_dataset_from_directory does by default; EXIF orientation is not applied",
            "row_order": f"files sorted by path, then numpy.random.default_rng({ORDER_SEED}).permutation",
            "skipped_files": self._found.skipped,
        }


def find_images(data: Data, name: SplitName, roots: Roots, max_files: int | None) -> ClassFiles | None:
    """The images that a split names, or None where it names something else.

    Args:
        data: the request's `data`.
        name: of the split.
        roots: folders below which files may be read.
        max_files: look at so many images alone, and list no more of each class.

    Raises:
        RequestError, DataError: images without classes, or without end.
    """
    reference = data.train if name == "train" else data.validation
    field = f"data.{name}.uri"
    paths = resolve(reference.uris, roots, field=field)
    folders = [folder for path in paths for folder in _class_folders(path)]
    loose = [path for path in paths if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    if not folders and not loose:
        return None
    if any(not path.is_dir() for path in set(paths) - set(loose)):
        raise DataError(
            "data_formats_mixed",
            f"The {name} data name images and other files. Name the folder that holds one folder a class.",
            field=field,
        )
    skipped: Counter[str] = Counter()
    images = [(path, path.parent.name) for path in loose]
    for path in loose:
        require_regular(path, field)
    for folder in folders:
        under = walk(folder, roots, field=field, suffixes=SUFFIXES, skipped=skipped)
        images += [(path, folder.name) for path in islice(under, max_files or MAX_IMAGES + 1)]
        if len(images) > MAX_IMAGES:
            raise DataError("data_too_many_files", f"More than {MAX_IMAGES:,} images are named.", field=field)
    if not images:
        raise empty(name, [str(folder) for folder in folders])
    if len({label for _, label in images}) < 2 and name == "train":
        raise DataError(
            "one_class_only",
            f"All {name} images lie in one folder, {images[0][1]!r}. Name the folder above it, which holds one folder "
            "a class.",
            field=field,
            file=str(images[0][0].parent),
        )
    images.sort()
    order = np.random.default_rng(ORDER_SEED).permutation(len(images))[:max_files]
    chosen = [images[i] for i in order]
    return ClassFiles(
        tuple(path for path, _ in chosen),
        tuple(label for _, label in chosen),
        tuple(dict.fromkeys(str(path) for path in paths))[:100],
        dict(sorted(skipped.items())),
    )


def _class_folders(path: Path) -> list[Path]:
    """The folders of the classes: those in the folder that hold an image, or itself."""
    if not path.is_dir():
        return []
    children = sorted(child for child in path.iterdir() if not child.name.startswith("."))
    with_images = [child for child in children if child.is_dir() and _holds_image(child)]
    if len(with_images) < 2 and any(is_data(child.name) for child in children):
        return []  # a table, with pictures beside it
    return with_images or ([path] if _holds_image(path) else [])


def _holds_image(folder: Path) -> bool:
    """Whether an image lies in the folder or in one of the first below it, links to folders aside."""
    places = islice(os.walk(folder, followlinks=False), MAX_FOLDERS_SEARCHED)
    named = (Path(file) for _, _, files in places for file in files if not file.startswith("."))
    return any(file.suffix.lower() in SUFFIXES for file in named)


def open_image_splits(
    data: Data, found: dict[SplitName, ClassFiles], *, max_rows: int | None, model: ModelDescription | None
) -> tuple[Split, Split]:
    """Both splits, in the size that the model takes; where it leaves the size open, in that of the images.

    Raises:
        RequestError, DataError: naming the field to blame.
    """
    _require_no_columns(data)
    wanted, channels_first = _wanted(model)
    first = found["train"].files[0]
    size = wanted.filled(size_of(first, field="data.train.uri"))
    splits: list[Split] = [
        ImageFolderSplit(
            name,
            found[name],
            ImageSize(size.height, size.width, size.channels, resize=None not in wanted.sides),
            channels_first=channels_first,
            max_rows=max_rows,
        )
        for name in found
    ]
    return splits[0], splits[1]


def _require_no_columns(data: Data) -> None:
    columns = {"label": data.label, **data.others, "features": data.features, "exclude": data.exclude or None}
    named = next((role for role, column in columns.items() if column is not None), None)
    if named is not None:
        raise RequestError(
            f"{named}_not_applicable",
            f"data.{named} names a column of a table; these data are images, whose labels are the names of their "
            "folders.",
            field=f"data.{named}",
        )


@dataclass(frozen=True)
class _Wanted:
    """What the signature says of an image; None where it leaves it open."""

    sides: tuple[int | None, int | None] = (None, None)
    channels: int | None = None

    def filled(self, of_file: ImageSize) -> ImageSize:
        # Keras reads colours unless told otherwise
        height, width = self.sides
        return ImageSize(height or of_file.height, width or of_file.width, self.channels or 3)


def _wanted(model: ModelDescription | None) -> tuple[_Wanted, bool]:
    """What the model's only input takes, and whether its channels come first."""
    if model is not None and model.decodes_images:
        return _Wanted(), False
    shape = None if model is None or len(model.inputs) != 1 else model.inputs[0].shape
    if shape is None:
        return _Wanted(), False
    row = shape[1:]
    if len(row) == 2:
        return _Wanted((row[0], row[1]), 1), False
    if len(row) == 3 and (row[2] is None or row[2] <= MAX_CHANNELS):
        return _Wanted((row[0], row[1]), row[2]), False
    if len(row) == 3 and row[0] is not None and row[0] <= MAX_CHANNELS:
        return _Wanted((row[1], row[2]), row[0]), True
    raise DataError(
        "feature_shape_mismatch",
        f"The data are images, the model takes rows of the shape {list(row)}: neither (height, width, channels) nor "
        "(channels, height, width). Save the arrays that the model was trained on (.npz with x and y).",
        field="data.train.uri",
    )
