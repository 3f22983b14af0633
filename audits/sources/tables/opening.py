"""Open the tables of both splits together: columns, roles, and whether the splits agree."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from audits.artefacts import ModelDescription, SplitName
from audits.naming import listed, normalised, suggestion
from audits.sources.formats import Identified
from audits.sources.labels import LabelFile, read_labels
from audits.sources.locations import DataFile, Roots
from audits.sources.tables.agreement import Agreement
from audits.sources.tables.columns import TableFile, TableSource, require_read
from audits.sources.tables.lists import HoldsLists, agree_on_lengths, lengths_differ, takes_lists
from audits.sources.tables.partitions import PartitionedFile, kinds_of, require_same_partitions
from audits.sources.tables.readers import READERS
from audits.sources.tables.roles import Roles, named_columns, require_roles, resolve_roles
from audits.sources.tables.split import Layout, TableSplit, empty
from schemas.data import Data, DataReference
from schemas.problem import DataError, RequestError

Files = Mapping[SplitName, Sequence[TableFile]]


def open_table_splits(
    data: Data,
    files: Mapping[SplitName, Sequence[DataFile]],
    identified: Mapping[SplitName, Sequence[Identified]],
    roots: Roots,
    *,
    max_rows: int | None,
    model: ModelDescription | None,
) -> tuple[TableSplit, TableSplit]:
    """Both splits; see `audits.sources.open_splits`.

    Raises:
        RequestError, DataError: naming the field, and the file, row or column to blame.
    """
    partitions = kinds_of([file for found in files.values() for file in found])
    opened = {name: open_tables(data, name, files[name], identified[name], partitions, max_rows) for name in files}
    agree_on_lengths(opened)
    for name, tables in opened.items():
        _require_header(tables, name)
    labels = {name: read_labels(data, name, roots, max_rows=max_rows) for name in opened}
    roles = _roles(data, opened, labels)
    for name, tables in opened.items():
        require_roles(roles if labels[name] is None else _without_labels(roles), tables, name)
        _require_rows(tables, name)
    features, ignored = _features(roles, opened, model)
    unread = {name: _unread(tables, set(features)) for name, tables in opened.items()}
    agreement = Agreement(opened, _text_names(model))
    columns = tuple(agreement.column(name) for name in features)
    others = {role: agreement.role(role, column) for role, column in roles.others.items()}
    train, validation = (
        TableSplit(
            name,
            tables,
            Layout(
                columns,
                () if labels[name] is not None else roles.labels,
                tuple(agreement.label_kind(label, name) for label in roles.labels) if labels[name] is None else (),
                others,
            ),
            max_rows=max_rows,
            notes={
                "format": identified[name][0].format,
                "ignored_columns": ignored[name],
                **({"unread_columns": unread[name]} if unread[name] else {}),
            },
            external=labels[name],
        )
        for name, tables in opened.items()
    )
    return train, validation


def open_tables(
    data: Data,
    name: SplitName,
    files: Sequence[DataFile],
    identified: Sequence[Identified],
    partitions: Mapping[str, Any],
    max_rows: int | None = None,
) -> list[TableFile]:
    """The files of a split, with their partitions as columns."""
    reference: DataReference = getattr(data, name)
    field = f"data.{name}.uri"
    require_same_partitions(files, field)
    wanted = named_columns(data)
    opened: list[TableFile] = []
    for file, found in zip(files, identified, strict=True):
        source = TableSource(file.path, field, found.compression, reference.csv, reference.key, wanted, max_rows)
        table = READERS[found.format](source)
        opened.append(PartitionedFile(table, file.partitions, partitions) if file.partitions else table)
    return opened


def _roles(data: Data, opened: Files, labels: Mapping[SplitName, LabelFile | None]) -> Roles:
    first = opened["train"][0]
    if not data.labels and any(found is None for found in labels.values()):
        raise RequestError(
            "label_required",
            f"These data are tables: name the label's column in data.label. There is {listed(first.observed)}.",
            field="data.label",
        )
    roles = resolve_roles(data, list(first.observed))
    if all(found is not None for found in labels.values()):
        # a column of that name beside the labels' own files is no feature either
        here = tuple(name for name in roles.labels if name in first.observed)
        return Roles((), roles.others, roles.features, roles.excluded | frozenset(here))
    return roles


def _without_labels(roles: Roles) -> Roles:
    return Roles((), roles.others, roles.features, roles.excluded)


def _require_header(files: Sequence[TableFile], split: SplitName) -> None:
    """A file of no bytes has no header either."""
    for file in files:
        if not file.observed and file.is_empty:
            raise empty(split, [str(file.path)])


def _require_rows(files: Sequence[TableFile], split: SplitName) -> None:
    if all(file.is_empty for file in files):
        raise empty(split, [str(file.path) for file in files])


def _features(
    roles: Roles, opened: Files, model: ModelDescription | None
) -> tuple[list[str], dict[SplitName, list[str]]]:
    """The feature columns in order, and the columns of each split that are left out.

    Raises:
        DataError: `feature_missing`, naming the column and the split.
    """
    taken = set(roles.taken) | roles.excluded
    order = {name: [c for c in files[0].observed if c not in taken and c] for name, files in opened.items()}
    if roles.features is not None:
        wanted = list(roles.features)
    else:
        fit = [c for c in order["train"] if _can_be_fed(c, opened, model) and not _is_index(c, opened, model)]
        common = [c for c in fit if _in_all(c, opened)]
        wanted = [c for c in fit if c in common or _needs(model, c, fit, common)]
    for column in wanted:
        _require_feature(column, opened)
        _require_fit(column, opened, model)
    if not wanted:
        for column in order["train"]:
            if _in_all(column, opened):
                _require_fit(column, opened, model)
        raise DataError(
            "feature_missing",
            "No feature column stands in both splits: the training data have "
            f"{listed(order['train']) or 'none'}, the validation data {listed(order['validation']) or 'none'}.",
            field="data.features",
            file=str(opened["train"][0].path),
        )
    every = {name: [c for c in files[0].observed if c not in roles.taken] for name, files in opened.items()}
    chosen = set(wanted)
    return wanted, {name: [c or "(without a name)" for c in every[name] if c not in chosen] for name in opened}


def _can_be_fed(column: str, opened: Files, model: ModelDescription | None) -> bool:
    """Whether a column that nobody named may be a feature: not where its type is one that the model does not take."""
    if model is None or _is_named(model, column):
        return True
    seen = [file.observed[column] for files in opened.values() for file in files if column in file.observed]
    return all(one.unread is None and (one.list_of is None or takes_lists(model, one.list_of)) for one in seen)


def _is_index(column: str, opened: Files, model: ModelDescription | None) -> bool:
    """Whether pandas wrote it as the index of the rows, and no input is called so: who trains on a frame leaves it."""
    files = [file for of_split in opened.values() for file in of_split if column in file.observed]
    is_asked_for = model is not None and _is_named(model, column)
    return not is_asked_for and any(file.observed[column].is_index for file in files)


def _require_fit(column: str, opened: Files, model: ModelDescription | None) -> None:
    """What the model cannot be fed with, found before anything is read.

    Raises:
        DataError: `feature_shape_mismatch` for lists of differing length that the model does not take as such,
            `column_type_unsupported`.
    """
    for split, files in opened.items():
        for file in files:
            if model is not None:
                require_read(column, file.observed[column], file, f"data.{split}.uri")
            name = file.observed[column].list_of
            if name is not None and not takes_lists(model, name):
                lengths = file.lengths.get(name) if isinstance(file, HoldsLists) else None
                raise lengths_differ(name, file, lengths, f"data.{split}.uri")


def _unread(files: Sequence[TableFile], used: set[str]) -> dict[str, str]:
    """Column -> why it cannot be a feature, of those that no one asked for."""
    found: dict[str, str] = {}
    for file in files:
        for name, observed in file.observed.items():
            if name not in used and observed.unread is not None:
                found[name] = observed.unread
            elif name not in used and observed.list_of is not None:
                found[observed.list_of] = "lists of differing length"
    return found


def _in_all(column: str, opened: Files) -> bool:
    return all(column in file.observed for files in opened.values() for file in files)


def _needs(model: ModelDescription | None, column: str, of_train: Sequence[str], common: Sequence[str]) -> bool:
    """Whether the model takes a column that not every file has."""
    if model is None:
        return False
    if len(model.named_features) > 1:
        return _is_named(model, column)
    shape = model.inputs[0].shape if model.inputs else None
    width = shape[-1] if shape is not None and len(shape) == 2 else None
    return width is not None and width > len(common) and width <= len(of_train)


def _require_feature(column: str, opened: Files) -> None:
    for split, files in opened.items():
        for file in files:
            if column not in file.observed:
                raise DataError(
                    "feature_missing",
                    f"The {split} file {file.path.name} has no column {column!r}; "
                    f"it has {listed(file.observed)}.{suggestion(column, file.observed)}"
                    " Add the column there; or, if the model does not take it, name it in data.exclude.",
                    field=f"data.{split}.uri",
                    file=str(file.path),
                    column=column,
                )


def _is_named(model: ModelDescription, column: str) -> bool:
    """Whether an input, or a feature of serialized messages, bears the name of a column, or of the list it is from."""
    names = {normalised(name) for name in model.named_features}
    return normalised(column) in names or normalised(re.sub(r"\[\d+\]$", "", column)) in names


def _text_names(model: ModelDescription | None) -> frozenset[str]:
    """The inputs, and the features of serialized messages, that the model takes as text."""
    named = model.named_features if model else {}
    return frozenset(normalised(name) for name, dtype in named.items() if dtype == "string")
