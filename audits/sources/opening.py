"""Open both splits together: what columns there are, what they are for, and whether the splits agree."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from audits.artefacts import Column, ColumnKind, ModelDescription, Split, SplitName
from audits.sources.arrays.split import open_array_split
from audits.sources.formats import SUFFIXES, Format, identify
from audits.sources.images.image_folder import ClassFiles, find_images, open_image_splits
from audits.sources.locations import Roots, resolve_files
from audits.sources.naming import listed, normalised, suggestion
from audits.sources.tables.columns import Observed, TableFile, text_in_numeric_column
from audits.sources.tables.csv_file import CsvFile
from audits.sources.tables.parquet_file import ParquetFile
from audits.sources.tables.split import Layout, TableSplit, empty
from schemas.problem import DataError, RequestError
from schemas.request import Data

SPLITS: tuple[SplitName, SplitName] = ("train", "validation")
_OPENERS: Mapping[Format, Callable[..., TableFile]] = {"csv": CsvFile, "parquet": ParquetFile}
# Kinds that are read as numbers without loss.
_NUMERIC: frozenset[ColumnKind] = frozenset({"number", "boolean"})


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
    the heads of the files are read here.

    Args:
        data: the request's `data`.
        roots: folders below which files may be read.
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
    formats = {name: _format_of(files[name], name) for name in SPLITS}
    is_array = {name: formats[name] in {"npz", "npy"} for name in SPLITS}
    if is_array["train"] != is_array["validation"]:
        raise DataError(
            "data_formats_mixed",
            f"The training data are {formats['train']}, the validation data {formats['validation']}: give both as "
            "tables or both as arrays.",
            field="data.validation.uri",
            file=str(files["validation"][0]),
        )
    if is_array["train"]:
        return _open_arrays(data, files, formats, max_rows)
    return _open_tables(data, files, formats, max_rows, model)


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
    return open_image_splits(data, both, max_rows=max_rows, model=model)


def _find(data: Data, name: SplitName, roots: Roots, max_files: int | None) -> list[Path]:
    reference = data.train if name == "train" else data.validation
    return list(resolve_files(reference.uris, roots, field=f"data.{name}.uri", suffixes=SUFFIXES))[:max_files]


def _format_of(files: Sequence[Path], name: SplitName) -> Format:
    """The one format of a split's files."""
    field = f"data.{name}.uri"
    formats = {path: identify(path, field=field) for path in files}
    first = formats[files[0]]
    other = next((path for path, format_ in formats.items() if format_ != first), None)
    if other is not None:
        raise DataError(
            "data_formats_mixed",
            f"The {name} files are of different formats: {files[0].name} is {first}, {other.name} is {formats[other]}. "
            "Name files of one format, for instance with a glob.",
            field=field,
            file=str(other),
        )
    return first


def _open_arrays(
    data: Data, files: Mapping[SplitName, list[Path]], formats: Mapping[SplitName, Format], max_rows: int | None
) -> tuple[Split, Split]:
    if data.features is not None:
        raise RequestError(
            "features_not_applicable",
            "data.features names columns of a table; these data are arrays, of which x is the features.",
            field="data.features",
        )
    train, validation = (open_array_split(data, name, files[name], formats[name], max_rows=max_rows) for name in SPLITS)
    if train.row_shape != validation.row_shape:
        raise DataError(
            "feature_shape_mismatch",
            f"A row of x has the shape {list(train.row_shape)} in the training data and {list(validation.row_shape)} "
            "in the validation data. Preprocess both in the same way.",
            field="data.validation.uri",
            file=validation.files[0],
        )
    return train, validation


def _open_tables(
    data: Data,
    paths: Mapping[SplitName, list[Path]],
    formats: Mapping[SplitName, Format],
    max_rows: int | None,
    model: ModelDescription | None,
) -> tuple[Split, Split]:
    opened = {
        name: [_OPENERS[formats[name]](path, field=f"data.{name}.uri") for path in paths[name]] for name in SPLITS
    }
    for name in SPLITS:
        _require_header(opened[name], name)
    if data.label is None:
        raise RequestError(
            "label_required",
            f"These data are tables: name the label's column in data.label. There is {_columns(opened['train'])}.",
            field="data.label",
        )
    for name in SPLITS:
        for role, column in data.roles.items():
            _require_role(role, column, opened[name], name)
        _require_rows(opened[name], name)
    features, ignored = _features(data, opened, model)
    tables = _Tables(opened, _text_names(model))
    columns = tuple(tables.column(name) for name in features)
    splits = [
        TableSplit(
            name,
            opened[name],
            Layout(
                columns,
                data.label,
                tables.label_kind(data.label, name),
                {role: tables.role(role, column) for role, column in data.roles.items() if role != "label"},
            ),
            max_rows=max_rows,
            notes={"format": formats[name], "ignored_columns": ignored[name]},
        )
        for name in SPLITS
    ]
    return splits[0], splits[1]


class _Tables:
    """All files of both splits, the training files first: whoever comes first defines a column's kind."""

    def __init__(self, opened: Mapping[SplitName, Sequence[TableFile]], texts: Collection[str]) -> None:
        self._opened = opened
        self._texts = texts

    def column(self, name: str, *, field: str | None = None) -> Column:
        """The one kind that all files agree on.

        Raises:
            DataError: `text_in_numeric_column` or `column_types_differ`, naming the file.
        """
        seen = [
            (split, file, file.observed[name]) for split in SPLITS for file in self._opened[split] if not file.is_empty
        ]
        text = next((observed.text for _, _, observed in seen if observed.text is not None), None)
        if normalised(name) in self._texts:
            return Column(name, "string", text)
        known = [(split, file, observed) for split, file, observed in seen if observed.kind is not None]
        kind: ColumnKind = cast(ColumnKind, known[0][2].kind) if known else "number"
        for split, file, observed in known[1:]:
            kind = _agreed(kind, observed, name, file, field or f"data.{split}.uri")
        return Column(name, kind, text if kind == "string" else None)

    def role(self, role: str, name: str) -> Column:
        """As `column`; weights are numbers.

        Raises:
            DataError: as `column` does.
        """
        column = self.column(name, field=f"data.{role}")
        if role == "weight" and column.text is not None:
            raise text_in_numeric_column(name, column.text, "weights are numbers", field="data.weight")
        return column

    def label_kind(self, name: str, split: SplitName) -> ColumnKind:
        """The kind within one split. Splits that name their classes differently are a finding, not a problem."""
        kinds = {file.observed[name].kind for file in self._opened[split] if not file.is_empty} - {None}
        if len(kinds) == 1 and kinds != {"time"}:
            return cast(ColumnKind, kinds.pop())
        return "number" if kinds <= _NUMERIC else "string"


def _agreed(kind: ColumnKind, observed: Observed, name: str, file: TableFile, field: str) -> ColumnKind:
    """The kind of a column so far, after another file.

    Numbers in a later file of a text column are text; truth values among numbers are 0 and 1.
    """
    other = observed.kind
    if other is None or kind in {other, "string"}:
        return kind
    if kind in _NUMERIC and other in _NUMERIC:
        return "number"
    if kind in _NUMERIC and observed.text is not None:
        raise text_in_numeric_column(name, observed.text, "the files before it hold numbers", field=field)
    if other == "string" and kind in _NUMERIC:
        return kind  # a file of text that holds nothing but holes, or numbers stored as text
    raise DataError(
        "column_types_differ",
        f"Column {name!r} holds {_SAID[kind]} in the files before, {_SAID[other]} in {file.path.name}. "
        "Write it in the same way in every file.",
        field=field,
        file=str(file.path),
        column=name,
    )


_SAID: Mapping[ColumnKind, str] = {
    "number": "numbers",
    "boolean": "truth values",
    "string": "text",
    "time": "time stamps",
}


def _require_header(files: Sequence[TableFile], split: SplitName) -> None:
    """A file of no bytes has no header either."""
    for file in files:
        if not file.observed and file.is_empty:
            raise empty(split, [str(file.path)])


def _require_rows(files: Sequence[TableFile], split: SplitName) -> None:
    if all(file.is_empty for file in files):
        raise empty(split, [str(file.path) for file in files])


def _require_role(role: str, column: str, files: Sequence[TableFile], split: SplitName) -> None:
    for file in files:
        if column in file.observed:
            continue
        hint = suggestion(column, file.observed) or _header_hint(file)
        raise DataError(
            "label_missing" if role == "label" else "column_missing",
            f"The {split} file {file.path.name} has no column {column!r}, which data.{role} names; "
            f"it has {listed(file.observed)}.{hint}",
            field=f"data.{role}",
            file=str(file.path),
            column=column,
        )


def _header_hint(file: TableFile) -> str:
    looks_like_data = bool(file.observed) and all(
        name.lstrip("+-").replace(".", "", 1).isdigit() for name in file.observed
    )
    return " Its first line looks like data: a header line is needed." if looks_like_data else ""


def _features(
    data: Data, opened: Mapping[SplitName, Sequence[TableFile]], model: ModelDescription | None
) -> tuple[list[str], dict[SplitName, list[str]]]:
    """The feature columns in order, and the columns of each split that are left out.

    Raises:
        DataError: `feature_missing`, naming the column and the split.
    """
    roles = set(data.roles.values())
    order = {name: [c for c in opened[name][0].observed if c not in roles and c] for name in SPLITS}
    if data.features is not None:
        wanted = list(data.features)
    else:
        common = [c for c in order["train"] if _in_all(c, opened)]
        wanted = [c for c in order["train"] if c in common or _needs(model, c, order["train"], common)]
    for place, column in enumerate(wanted):
        _require_feature(column, opened)
        if column in wanted[:place]:
            raise RequestError("feature_repeated", f"data.features names {column!r} twice.", field="data.features")
    if not wanted:
        raise DataError(
            "feature_missing",
            "No feature column stands in both splits: the training data have "
            f"{listed(order['train']) or 'none'}, the validation data {listed(order['validation']) or 'none'}.",
            field="data.features",
            file=str(opened["train"][0].path),
        )
    every = {name: [c for c in opened[name][0].observed if c not in roles] for name in SPLITS}
    return wanted, {name: [c or "(without a name)" for c in every[name] if c not in wanted] for name in SPLITS}


def _in_all(column: str, opened: Mapping[SplitName, Sequence[TableFile]]) -> bool:
    return all(column in file.observed for files in opened.values() for file in files)


def _needs(model: ModelDescription | None, column: str, of_train: Sequence[str], common: Sequence[str]) -> bool:
    """Whether the model takes a column that not every file has."""
    if model is None:
        return False
    if len(model.inputs) > 1:
        return normalised(column) in {normalised(spec.name) for spec in model.inputs}
    shape = model.inputs[0].shape if model.inputs else None
    width = shape[-1] if shape is not None and len(shape) == 2 else None
    return width is not None and width > len(common) and width <= len(of_train)


def _require_feature(column: str, opened: Mapping[SplitName, Sequence[TableFile]]) -> None:
    for split in SPLITS:
        for file in opened[split]:
            if column not in file.observed:
                raise DataError(
                    "feature_missing",
                    f"The {split} file {file.path.name} has no column {column!r}; "
                    f"it has {listed(file.observed)}.{suggestion(column, file.observed)}",
                    field=f"data.{split}.uri",
                    file=str(file.path),
                    column=column,
                )


def _text_names(model: ModelDescription | None) -> frozenset[str]:
    """The inputs that the model takes as text."""
    return frozenset(normalised(spec.name) for spec in (model.inputs if model else ()) if spec.dtype == "string")


def _columns(files: Sequence[TableFile]) -> Any:
    return listed(files[0].observed)
