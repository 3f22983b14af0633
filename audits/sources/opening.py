"""Open both splits together, whatever they are: tables, arrays or images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from audits.artefacts import ModelDescription, Split, SplitName
from audits.sources.arrays.opening import open_array_splits
from audits.sources.formats import ARRAYS, Format, Identified, identify, is_data
from audits.sources.images.image_folder import ClassFiles, find_images, open_image_splits
from audits.sources.locations import DataFile, Roots, resolve, resolve_files
from audits.sources.records.saved_dataset import METADATA, SPEC, SUFFIX, shards_of, structure_of
from audits.sources.tables.hdf5_file import holds_table
from audits.sources.tables.opening import open_table_splits
from audits.sources.tables.split import TableSplit
from schemas.data import Data, DataReference
from schemas.problem import DataError, RequestError

SPLITS: tuple[SplitName, SplitName] = ("train", "validation")


def open_splits(
    data: Data,
    roots: Roots,
    *,
    max_rows: int | None = None,
    model: ModelDescription | None = None,
    max_files: int | None = None,
) -> tuple[Split, Split]:
    """The training and the validation split, opened and held against each other.

    The training files' order defines the order of the features; the validation columns are matched by name. Only
    the heads of the files are read here, and the whole of label files.

    Args:
        data: the request's `data`.
        roots: where data may be read from.
        max_rows: read at most so many rows of each split.
        model: the model that the data are for. Columns that it takes as text are then read as they are written
            ("007" stays "007"), and a column that it needs must be in both splits.
        max_files: look at so many files of each split alone; for a quick check before the audit.

    Raises:
        RequestError, DataError: naming the field, and the file, row or column to blame.
    """
    images = {name: find_images(data, name, roots, max_files) for name in SPLITS}
    if any(images.values()):
        return _open_images(data, images, max_rows, model)
    files = {name: _find(data, name, roots, max_files) for name in SPLITS}
    identified = {name: _identified(files[name], name) for name in SPLITS}
    is_array = {name: _holds_arrays(data, name, files[name], identified[name]) for name in SPLITS}
    if is_array["train"] != is_array["validation"]:
        raise DataError(
            "data_formats_mixed",
            f"The training data are {identified['train'][0].format}, the validation data "
            f"{identified['validation'][0].format}: give both as tables or both as arrays.",
            field="data.validation.uri",
            file=str(files["validation"][0].path),
        )
    if is_array["train"]:
        paths = {name: [file.path for file in files[name]] for name in SPLITS}
        formats = {name: identified[name][0].format for name in SPLITS}
        return open_array_splits(data, paths, formats, roots, max_rows=max_rows)
    return open_table_splits(data, files, identified, roots, max_rows=max_rows, model=model)


def by_name(data: Data, train: Split) -> Data:
    """The request's data with the positions of columns replaced by the names that they have."""
    if not isinstance(train, TableSplit):
        return data
    labels = list(train.label_names)
    named: dict[str, object] = dict(train.role_names)
    if labels:
        named["label"] = labels if len(labels) > 1 else labels[0]
    return data.model_copy(update=named)


def _reference(data: Data, name: SplitName) -> DataReference:
    return data.train if name == "train" else data.validation


def _open_images(
    data: Data, found: Mapping[SplitName, ClassFiles | None], max_rows: int | None, model: ModelDescription | None
) -> tuple[Split, Split]:
    both = {name: images for name, images in found.items() if images is not None}
    if len(both) < len(SPLITS):
        other = next(name for name in SPLITS if name not in both)
        raise DataError(
            "data_formats_mixed",
            f"The {next(iter(both))} data are images, the {other} data are not: give both as folders of images, one "
            "folder a class.",
            field=f"data.{other}.uri",
        )
    for name in SPLITS:
        if _reference(data, name).label_uri is not None:
            raise RequestError(
                "label_uri_not_applicable",
                "These data are images, whose labels are the names of their folders: leave label_uri out.",
                field=f"data.{name}.label_uri",
            )
    return open_image_splits(data, both, max_rows=max_rows, model=model)


def _find(data: Data, name: SplitName, roots: Roots, max_files: int | None) -> list[DataFile]:
    uris, field = _reference(data, name).uris, f"data.{name}.uri"
    folders = [path for path in resolve(uris, roots, field=field) if _is_saved_dataset(path)]
    if folders:
        shards = [shard for folder in folders for shard in shards_of(folder, field=field)]
        return [DataFile(shard.resolve(), {}) for shard in shards if roots.contain(shard.resolve())][:max_files]
    return list(resolve_files(uris, roots, field=field, is_data=is_data))[:max_files]


def _is_saved_dataset(path: Path) -> bool:
    """Whether `tf.data.Dataset.save` wrote the folder.

    Raises:
        DataError: `data_format_unsupported` for parts of one, and for what `Dataset.snapshot` keeps for itself.
    """
    if path.is_dir() and (path / METADATA).is_file() and (path / SPEC).is_file():
        return True
    is_part = path.suffix == SUFFIX or (path.is_dir() and ((path / METADATA).is_file() or (path / SPEC).is_file()))
    if is_part or (path.is_dir() and next(path.glob(f"*/{METADATA}"), None) is not None):
        raise DataError(
            "data_format_unsupported",
            f"{path.name} is a cache of tf.data, which does not say what its elements are. Name the folder that "
            "tf.data.Dataset.save(path) wrote; or write TFRecord of tf.train.Example, or numpy.savez(path, x=...).",
            field="data",
            file=str(path),
        )
    return False


def _identified(files: Sequence[DataFile], name: SplitName) -> list[Identified]:
    """The files of a split, which are of one format."""
    field = f"data.{name}.uri"
    found = [
        Identified("saved_dataset") if file.path.suffix == SUFFIX else identify(file.path, field=field)
        for file in files
    ]
    other = next((place for place, one in enumerate(found) if one.format != found[0].format), None)
    if other is not None:
        raise DataError(
            "data_formats_mixed",
            f"The {name} files are of different formats: {files[0].path.name} is {found[0].format}, "
            f"{files[other].path.name} is {found[other].format}. Name files of one format, for instance with a glob.",
            field=field,
            file=str(files[other].path),
        )
    return found


def _holds_arrays(data: Data, name: SplitName, files: Sequence[DataFile], found: Sequence[Identified]) -> bool:
    format_: Format = found[0].format
    if format_ == "hdf5":
        return not holds_table(Path(files[0].path), _reference(data, name).key, field=f"data.{name}.uri")
    if format_ == "saved_dataset":
        return structure_of(files[0].path, field=f"data.{name}.uri").is_array
    return format_ in ARRAYS
