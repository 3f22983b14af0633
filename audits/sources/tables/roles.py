"""What the columns of a table are for: the request's names, positions and patterns as the names of columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from audits.artefacts import SplitName
from audits.naming import listed, suggestion
from audits.sources.tables.columns import TableFile
from schemas.data import PATTERN, ColumnReference, Data
from schemas.problem import DataError, RequestError


@dataclass(frozen=True)
class Roles:
    """Columns by what they are for, all by name.

    Attributes:
        labels: one; several where they are one-hot; none where the labels lie in other files.
        others: weight, id, group and time, as far as they are named.
        features: in the model's order; None takes all that are left.
        excluded: never features.
    """

    labels: tuple[str, ...]
    others: Mapping[str, str]
    features: tuple[str, ...] | None
    excluded: frozenset[str]

    @property
    def taken(self) -> dict[str, str]:
        """Column -> role, for the columns that are never features."""
        return {**dict.fromkeys(self.labels, "label"), **{name: role for role, name in self.others.items()}}


def named_columns(data: Data) -> frozenset[str]:
    """The names that the request gives to columns: where they stand in a first row, it is a header."""
    references = (*data.labels, *data.others.values(), *(data.features or ()), *data.exclude)
    return frozenset(name for name in references if isinstance(name, str) and not name.startswith(PATTERN))


def resolve_roles(data: Data, columns: Sequence[str]) -> Roles:
    """The roles of the columns of the first training file.

    A name that is no column, where ``name[0]``, ``name[1]``, ... are, means all of these.

    Args:
        data: the request's `data`.
        columns: in file order; "" for one without a name.

    Raises:
        RequestError: `column_position_invalid`, `column_role_conflict`, `feature_repeated`, `pattern_matches_nothing`.
    """
    labels = tuple(name for one in data.labels for name in _named(one, columns, "data.label"))
    others = {role: _named(one, columns, f"data.{role}")[0] for role, one in data.others.items()}
    taken: dict[str, str] = {}
    for role, name in [*(("label", name) for name in labels), *others.items()]:
        if name in taken:
            raise _conflict(name, taken[name], role)
        taken[name] = role
    excluded = frozenset(
        name for one in data.exclude for name in _chosen(one, [c for c in columns if c], "data.exclude")
    )
    if data.features is None:
        return Roles(labels, others, None, excluded)
    free = [name for name in columns if name and name not in taken and name not in excluded]
    features: dict[str, bool] = {}  # name -> whether it was named itself
    for one in data.features:
        is_pattern = isinstance(one, str) and one.startswith(PATTERN)
        for name in _chosen(one, free if is_pattern else columns, "data.features"):
            if name in taken:
                raise _conflict(name, taken[name], "feature")
            if features.get(name) and not is_pattern:
                raise RequestError("feature_repeated", f"data.features names {name!r} twice.", field="data.features")
            features[name] = features.get(name, False) or not is_pattern
    return Roles(labels, others, tuple(name for name in features if name not in excluded), excluded)


def require_roles(roles: Roles, files: Sequence[TableFile], split: SplitName) -> None:
    """Every file has the columns of the label and of the other roles.

    Raises:
        DataError: `label_missing`, `column_missing`, `label_shape_unsupported` or `column_shape_unsupported`.
    """
    for name, role in roles.taken.items():
        for file in files:
            if name not in file.observed:
                raise missing(name, role, file, split)
            if (lists := file.observed[name].list_of) is not None:
                raise _lists(lists, role, file)


def _lists(name: str, role: str, file: TableFile) -> DataError:
    """The problem of lists of differing length where one value a row is needed."""
    of_labels = ", or one number a class. Several labels a row are audited one at a time: write a column for each"
    return DataError(
        "label_shape_unsupported" if role == "label" else "column_shape_unsupported",
        f"Column {name!r} of {file.path.name} holds lists of differing length, but the {role} needs one value a row"
        f"{of_labels if role == 'label' else ''}.",
        field=f"data.{role}",
        file=str(file.path),
        column=name,
    )


def missing(name: str, role: str, file: TableFile, split: SplitName) -> DataError:
    hint = suggestion(name, file.observed)
    if not hint and list(file.observed)[:2] == ["0", "1"]:
        hint = " Its first line was not taken for a header: name columns by position, or say csv.header."
    return DataError(
        "label_missing" if role == "label" else "column_missing",
        f"The {split} file {file.path.name} has no column {name!r}, which data.{role} names; "
        f"it has {listed(file.observed)}.{hint}",
        field=f"data.{role}",
        file=str(file.path),
        column=name,
    )


def _named(reference: ColumnReference, columns: Sequence[str], field: str) -> list[str]:
    """The name of one column, or those of a vector."""
    if isinstance(reference, str):
        parts = [name for name in columns if re.fullmatch(re.escape(reference) + r"\[\d+\]", name)]
        return parts if parts and reference not in columns else [reference]
    # a delimiter at the end of each row makes a last column that is none
    last = max((place for place, name in enumerate(columns) if name), default=-1) + 1
    if not -last <= reference < last or not columns[:last][reference]:
        raise RequestError(
            "column_position_invalid",
            f"{field} names the column at position {reference}; there are {last}, from 0 to {last - 1} "
            f"(or -1 for the last): {listed([c or '(without a name)' for c in columns[:last]])}.",
            field=field,
        )
    return [columns[:last][reference]]


def _chosen(reference: ColumnReference, columns: Sequence[str], field: str) -> list[str]:
    """The columns that a name, a position or a pattern means."""
    if not (isinstance(reference, str) and reference.startswith(PATTERN)):
        return _named(reference, columns, field)
    try:
        # RE2 takes linear time, whatever the pattern
        hits = pc.match_substring_regex(pa.array(columns, pa.string()), reference.removeprefix(PATTERN))
    except pa.ArrowInvalid as error:
        raise RequestError("pattern_invalid", f"{field}: {reference!r} cannot be used: {error}.", field=field) from None
    found = [name for name, hit in zip(columns, hits.to_pylist(), strict=True) if hit]
    if not found:
        raise RequestError(
            "pattern_matches_nothing",
            f"{field}: no column matches {reference!r}; there is {listed(columns)}.",
            field=field,
        )
    return found


def _conflict(name: str, first: str, second: str) -> RequestError:
    return RequestError(
        "column_role_conflict",
        f"Column {name!r} cannot be both {first} and {second}.",
        field=f"data.{first}",
        column=name,
    )
