"""The data of a request: where both splits lie, and what their columns are for."""

import re
from typing import Annotated, Literal

from pydantic import Field, StrictInt, StringConstraints, field_validator, model_validator

from schemas.base import Received

Uri = str
# A column by its name, or by its position in the first training file: 0 is the first, -1 the last.
# Names may begin or end with blanks, as headers do.
ColumnName = Annotated[str, StringConstraints(strict=True, strip_whitespace=False, min_length=1)]
ColumnReference = ColumnName | StrictInt
MAX_URI_CHARACTERS = 2048
MAX_URIS = 10_000
PATTERN = "re:"


class CsvOptions(Received):
    """How a CSV file is written, where its head does not tell. What is left out is found out and reported."""

    delimiter: Annotated[str, StringConstraints(strip_whitespace=False)] | None = Field(
        None,
        description='Between cells: one character such as `,` `;` `|` or a tab, or "whitespace" for runs of blanks.',
    )
    header: bool | None = Field(
        None, description='Whether the first row holds names. Without names, columns are called "0", "1", ...'
    )
    encoding: str | None = Field(None, max_length=40, description="For instance `utf-8`, `utf-16`, `cp1252`.")
    decimal: Literal[".", ","] | None = Field(None, description="The decimal sign.")
    trim: bool | None = Field(
        None,
        description="Whether blanks around cells are removed. Default: where a blank follows every delimiter.",
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and value != "whitespace" and (len(value) != 1 or not value.isascii() or value in '"\r\n'):
            raise ValueError('give one ASCII character other than a quote or a line end, or "whitespace"')
        return value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            "".encode(value)
        except (LookupError, ValueError, UnicodeError):
            raise ValueError(f"{value!r} is no known text encoding") from None
        return value


class DataReference(Received):
    uri: Uri | list[Uri] = Field(description="A file, a folder, a glob, or a list of these.")
    label_uri: Uri | list[Uri] | None = Field(
        None,
        description="Where the labels lie, if in files of their own: row by row in the order of `uri`, or, where "
        "`data.id` is named and stands in both, by id. A table with the column `data.label`, or with one column "
        "besides the id; or an NPY file.",
    )
    csv: CsvOptions = Field(CsvOptions(), description="For CSV files.")
    key: str | None = Field(
        None, max_length=200, description="HDF5: the group or table to read, where the file holds several."
    )

    @field_validator("uri", "label_uri")
    @classmethod
    def _usable(cls, value: Uri | list[Uri] | None) -> Uri | list[Uri] | None:
        uris = listed(value)
        if value is not None and (
            not uris or len(uris) > MAX_URIS or any(not u or len(u) > MAX_URI_CHARACTERS for u in uris)
        ):
            raise ValueError(f"give 1 to {MAX_URIS} addresses of 1 to {MAX_URI_CHARACTERS} characters")
        return value

    @property
    def uris(self) -> list[Uri]:
        return listed(self.uri)

    @property
    def label_uris(self) -> list[Uri]:
        return listed(self.label_uri)


class Data(Received):
    train: DataReference
    validation: DataReference
    label: ColumnReference | list[ColumnReference] | None = Field(
        None,
        description="The label column, by name or position. Required for tables. A list: one-hot columns, in the "
        "order of the model's outputs.",
    )
    features: list[ColumnReference] | None = Field(
        None,
        min_length=1,
        description="Feature columns in the model's order, by name, position or pattern (`re:^sensor_` takes every "
        "column in which the regular expression is found, in file order). Default: all others, in file order.",
    )
    exclude: list[ColumnReference] = Field(
        [], description="Columns that are no features, by name, position or pattern."
    )
    weight: ColumnReference | None = Field(
        None, description="Column of row weights: no feature. Weighted metrics are reported beside the plain ones."
    )
    id: ColumnReference | None = Field(None, description="Column that identifies a row: no feature.")
    group: ColumnReference | None = Field(None, description="Column of dependent rows (patient, user): no feature.")
    time: ColumnReference | None = Field(None, description="Column of time stamps: no feature.")

    @property
    def labels(self) -> tuple[ColumnReference, ...]:
        """The label columns: none, one, or the one-hot ones."""
        if self.label is None:
            return ()
        return tuple(self.label) if isinstance(self.label, list) else (self.label,)

    @property
    def label_name(self) -> str | None:
        """What the label is called in sentences."""
        return ", ".join(map(str, self.labels)) or None

    @property
    def others(self) -> dict[str, ColumnReference]:
        """Role -> column, besides the label."""
        named = {"weight": self.weight, "id": self.id, "group": self.group, "time": self.time}
        return {role: column for role, column in named.items() if column is not None}

    def name_of(self, role: str) -> str | None:
        """What the column of a role other than the label is called; None where none is named."""
        column = self.others.get(role)
        return None if column is None else str(column)

    @field_validator("label")
    @classmethod
    def _some_labels(cls, value: object) -> object:
        if isinstance(value, list) and len(value) < 2:
            raise ValueError("a list names the one-hot columns of two classes or more; give one column as it is")
        return value

    @field_validator("features", "exclude")
    @classmethod
    def _sound_patterns(cls, value: list[ColumnReference] | None) -> list[ColumnReference] | None:
        for name in value or ():
            if isinstance(name, str) and name.startswith(PATTERN):
                try:
                    re.compile(name.removeprefix(PATTERN))
                except re.error as error:
                    raise ValueError(f"{name!r} is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _roles_differ(self) -> "Data":
        taken: dict[ColumnReference, str] = {}
        for role, column in [*(("label", c) for c in self.labels), *self.others.items()]:
            if column in taken:
                raise ValueError(f"column {column!r} cannot be both {taken[column]} and {role}")
            taken[column] = role
        for column in self.features or ():
            if column in taken:
                raise ValueError(f"column {column!r} cannot be both a feature and the {taken[column]}")
        return self


def listed(value: Uri | list[Uri] | None) -> list[Uri]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
