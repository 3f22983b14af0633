"""Rows as serialized `tf.train.Example` messages, as the model's own parsing op reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audits.artefacts import Array, Column, ExampleFeature, Rows, TensorSpec
from audits.evidence.feeds.matching import matched, numbered
from audits.evidence.feeds.tensors import as_numbers, as_text, numbers_of, require_kind
from audits.naming import listed, suggestion
from audits.sources.example_messages import example_class
from schemas.problem import DataError, ModelError

# Field of a Feature, by the type that the model parses.
_LISTS = {"float32": "float_list", "int64": "int64_list", "string": "bytes_list"}


@dataclass(frozen=True)
class FedFeature:
    """A feature of the messages and the columns that its values come from.

    Attributes:
        columns: in order; none where the feature is left out, or filled because nothing uses it.
        note: what was done besides casting, for the report.
    """

    feature: ExampleFeature
    columns: tuple[str, ...]
    note: str | None = None

    @property
    def may_be_absent(self) -> bool:
        return self.feature.shape is None or self.feature.has_default

    def values(self, rows: Any) -> tuple[Array, Array]:
        """(rows, columns) values, and whether each is there: no holes in a feature with any number of values."""
        dtype, name = self.feature.dtype, self.feature.name
        raw = [rows[column] for column in self.columns]
        missing = np.stack([column.isna().to_numpy() for column in raw], axis=1)
        if dtype == "string":
            parts = [as_text(column.to_numpy()) for column in raw]
        elif dtype == "float32":
            parts = [as_numbers(numbers_of(column), dtype, name) for column in raw]
        else:
            there = [column.fillna(0) if self.may_be_absent else column for column in raw]
            pairs = zip(there, self.columns, strict=True)
            parts = [as_numbers(numbers_of(column), dtype, name, named) for column, named in pairs]
        values = np.stack(parts, axis=1)
        if self.feature.shape is None:
            return values, ~missing
        absent = missing.all(axis=1, keepdims=True) & self.may_be_absent
        return values, np.broadcast_to(~absent, values.shape)

    def filling(self) -> list[Any]:
        """Values of a feature that the model parses and never uses."""
        return [b"" if self.feature.dtype == "string" else 0] * (_size(self.feature) or 0)

    def describe(self) -> dict[str, Any]:
        return {
            "feature": self.feature.name,
            "columns": list(self.columns),
            "dtype": self.feature.dtype,
            "note": self.note,
        }


@dataclass(frozen=True)
class ExampleFeed:
    """The one input of a model that parses messages."""

    spec: TensorSpec
    features: tuple[FedFeature, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for fed in self.features for name in fed.columns))

    def array(self, rows: Rows) -> Array:
        """(rows,) bytes.

        Raises:
            DataError: a hole for a feature of whole numbers that must be there.
        """
        kind = example_class()
        fed = [(one, *one.values(rows)) for one in self.features if one.columns]
        fillings = [(one, one.filling()) for one in self.features if not one.columns and not one.may_be_absent]
        messages = np.empty(len(rows), dtype=object)
        for row in range(len(rows)):
            message = kind()
            features = message.features.feature
            for one, values, there in fed:
                if there[row].any():
                    _put(features, one.feature, values[row][there[row]])
            for one, filling in fillings:
                _put(features, one.feature, filling)
            messages[row] = message.SerializeToString()
        return messages

    def describe(self) -> dict[str, Any]:
        return {
            "input": self.spec.name,
            "columns": list(self.columns),
            "sent_as": "serialized tf.train.Example",
            "layout": "dense",
            "note": f"each row as a message of {len(self.features)} features, as the model's parsing op names them",
            "features": [one.describe() for one in self.features],
        }


def feed_examples(columns: Sequence[Column], spec: TensorSpec, features: Sequence[ExampleFeature]) -> ExampleFeed:
    """Map columns to the features that the model parses, by name.

    Raises:
        DataError: `feature_missing`, naming every feature without a column; `text_in_numeric_column`.
        ModelError: `inputs_unsupported`: a feature is of a type that no message has.
    """
    strange = [feature.name for feature in features if feature.dtype not in _LISTS]
    if strange:
        raise ModelError(
            "inputs_unsupported",
            f"The model parses the features {listed(strange)} as a type that tf.train.Example does not have.",
            field="model.signature",
        )
    found = matched([feature.name for feature in features], columns)
    fed = [_fed(feature, found, columns) for feature in features]
    missing = [feature for feature, one in zip(features, fed, strict=True) if one is None]
    if missing:
        raise _missing(missing, [column.name for column in columns])
    kinds = {column.name: column for column in columns}
    complete = tuple(one for one in fed if one is not None)
    for one in complete:
        for name in one.columns:
            require_kind(kinds[name], one.feature.name, one.feature.dtype)
    return ExampleFeed(spec, complete)


def _missing(features: Sequence[ExampleFeature], columns: Sequence[str]) -> DataError:
    wide = [f"{one.name!r} has {_size(one)} values a row" for one in features if (_size(one) or 1) > 1]
    hint = (
        f" Number the columns of a feature with several values (x_0, x_1, ...): {', '.join(wide[:5])}." if wide else ""
    )
    return DataError(
        "feature_missing",
        f"The model parses the features {listed([one.name for one in features])} out of each row, but no column gives "
        f"them; there is {listed(columns)}.{hint if wide else suggestion(features[0].name, columns)}",
        field="data.features",
        column=features[0].name,
    )


def _size(feature: ExampleFeature) -> int | None:
    return None if feature.shape is None else int(np.prod(feature.shape, dtype=np.int64))


def _fed(feature: ExampleFeature, found: Mapping[str, Column], columns: Sequence[Column]) -> FedFeature | None:
    size = _size(feature)
    column = found.get(feature.name)
    if column is not None and size in {None, 1}:
        renamed = None if column.name == feature.name else f"matched to the column {column.name!r}"
        return FedFeature(feature, (column.name,), renamed or _on_holes(feature))
    several = numbered(feature.name, columns)
    if several and size in {None, len(several)}:
        note = f"{len(several)} numbered columns in order" + (", without holes" if size is None else "")
        return FedFeature(feature, tuple(one.name for one in several), note)
    if not feature.is_used:
        return FedFeature(feature, (), "no column; the output does not follow from it, so it is filled with nothing")
    if feature.has_default and feature.shape is not None:
        return FedFeature(feature, (), "no column; the model's own default is used in every row")
    return None


def _on_holes(feature: ExampleFeature) -> str | None:
    if feature.shape is None:
        return "left out of rows where it is missing"
    return "left to the model's default in rows where it is missing" if feature.has_default else None


def _put(features: Any, feature: ExampleFeature, values: Any) -> None:
    if feature.dtype == "string":
        features[feature.name].bytes_list.value.extend(
            value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass") for value in values
        )
    else:
        getattr(features[feature.name], _LISTS[feature.dtype]).value.extend(values)
