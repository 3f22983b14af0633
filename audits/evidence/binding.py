"""How feature columns and arrays become the inputs of the model's signature; stated in the report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from audits.artefacts import Array, Column, FixedInput, ModelDescription, Rows, Split, TensorSpec
from audits.evidence.feeds.examples import feed_examples
from audits.evidence.feeds.lines import feed_lines
from audits.evidence.feeds.matching import matched, numbered
from audits.evidence.feeds.pictures import PictureFeed
from audits.evidence.feeds.tensors import Feed, InputFeed, require_kind
from audits.naming import listed, normalised, suggestion
from audits.sources.graph.inputs import ragged_pairs
from schemas.problem import DataError, ModelError

_NUMERIC_PREFIXES = ("float", "int", "uint", "bool", "bfloat")


@dataclass(frozen=True)
class Binding:
    """How the rows of a split become the model's inputs."""

    feeds: tuple[InputFeed, ...]
    unused_columns: tuple[str, ...] = ()
    fixed: tuple[FixedInput, ...] = ()

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Columns that reach the model, in the order of its inputs."""
        return tuple(dict.fromkeys(name for feed in self.feeds for name in feed.columns))

    def inputs(self, rows: Rows) -> dict[str, Array]:
        """Input -> (rows, ...), as `Model.predict` takes them.

        Raises:
            DataError: text for an input of numbers, or a hole for an input of whole numbers.
        """
        return {feed.spec.name: feed.array(rows) for feed in self.feeds}

    def bound(self, description: ModelDescription) -> ModelDescription:
        """The same with the inputs as they are fed: what looked like two of them may be one that is ragged."""
        return replace(description, inputs=tuple(feed.spec for feed in self.feeds))

    def changed_by_cast(self, rows: Rows) -> dict[str, Any]:
        """Column -> share of its values that reach the model as other whole numbers; see `Feed.changed_by_cast`."""
        feeds = [feed for feed in self.feeds if isinstance(feed, Feed)]
        return {name: share for feed in feeds for name, share in feed.changed_by_cast(rows).items()}

    def describe(self) -> dict[str, Any]:
        """For the report's `data` section."""
        return {
            "inputs": [feed.describe() for feed in self.feeds],
            "fixed_inputs": [
                {"input": one.name, "value": one.value, "reason": one.reason, "in_signature": one.tensor is None}
                for one in self.fixed
            ],
            "unused_columns": list(self.unused_columns),
        }


def bind(split: Split, description: ModelDescription) -> Binding:
    """Map the features to the inputs of the signature.

    A table feeds a single two-dimensional input with all its columns in order, or named inputs with the columns of
    these names: written alike, or alike but for what exports change; see `matched`. Where the model parses serialized
    messages, its parsing op names the features. An array feeds the single input.

    Raises:
        DataError: `feature_missing`, `feature_count_mismatch`, `feature_shape_mismatch`, `text_in_numeric_column`.
        ModelError: the signature takes what no data here can be: `inputs_unsupported`.
    """
    _require_usable(description)
    inputs = _with_ragged(description.inputs, split.columns)
    feeds: Sequence[InputFeed]
    if description.examples:
        if split.layout == "array":
            raise _unsupported(
                "The model parses serialized tf.train.Example messages, whose features are named: give tables with a "
                "column for each, not arrays."
            )
        feeds = [feed_examples(split.columns, inputs[0], description.examples[inputs[0].name])]
    elif description.lines is not None and split.layout == "table":
        feeds = [feed_lines(split.columns, inputs[0], description.lines)]
    elif split.layout == "array":
        feeds = [_array_feed(split, inputs, decodes=description.decodes_images)]
    else:
        feeds = _table_feeds(split.columns, inputs)
        kinds = {column.name: column for column in split.columns}
        for feed in feeds:
            for name in feed.columns:
                require_kind(kinds[name], feed.spec.name, feed.spec.dtype)
    used = {name for feed in feeds for name in feed.columns}
    return Binding(tuple(feeds), tuple(c.name for c in split.columns if c.name not in used), description.fixed)


def _require_usable(description: ModelDescription) -> None:
    for spec in description.inputs:
        if spec.dtype != "string" and not spec.dtype.startswith(_NUMERIC_PREFIXES):
            raise _unsupported(f"Input {spec.name!r} is of the type {spec.dtype}; numbers and text are fed.")
        if spec.shape == ():
            raise _unsupported(
                f"Input {spec.name!r} takes a single value and no rows, and which value cannot be guessed from its "
                "name. Export a signature without it, or give it a default (placeholder_with_default)."
            )
    if not description.inputs:
        others = [name for name in description.signatures if name != description.signature]
        also = f" Name another in model.signature; there is {listed(others)}." if others else ""
        raise _unsupported(f"The signature {description.signature!r} takes no rows: it has no inputs.{also}")


def _with_ragged(inputs: Sequence[TensorSpec], columns: Sequence[Column]) -> tuple[TensorSpec, ...]:
    """Inputs x and x_1 as one ragged x with its row splits, where no column bears the name of x_1."""
    specs = {spec.name: spec for spec in inputs}
    # the second place of a list x is spelled like x_1, and is no row splits
    found = matched(list(specs), [column for column in columns if column.list_of is None])
    lists = {normalised(column.list_of) for column in columns if column.list_of is not None}
    for name, ragged in ragged_pairs(specs).items():
        splits = ragged.components[1]
        if splits not in found and (name in found or len(specs) == 2 or normalised(name) in lists):
            specs[name] = ragged
            del specs[splits]
    return tuple(specs.values())


def _table_feeds(columns: Sequence[Column], inputs: Sequence[TensorSpec]) -> list[Feed]:
    if len(inputs) == 1:
        return [_single(columns, inputs[0])]
    narrow = [spec for spec in inputs if _width(spec) in {1, None}]
    found = matched([spec.name for spec in narrow], columns)
    feeds: dict[str, Feed] = {}
    for spec in inputs:
        if spec.name in found:
            feeds[spec.name] = _named(spec, found[spec.name])
        elif _width(spec) == 1:
            raise _missing(spec, columns)
    taken = {name for feed in feeds.values() for name in feed.columns}
    wide = [spec for spec in inputs if spec.name not in feeds]
    # one that takes any number of values a row takes those of its name alone, where there are such
    for spec in wide if len(wide) > 1 else [spec for spec in wide if spec.layout != "dense"]:
        several = numbered(spec.name, [column for column in columns if column.name not in taken])
        if several and _width(spec) in {None, len(several)}:
            feeds[spec.name] = replace(
                _matrix(several, spec), note=f"the {len(several)} columns of its name, by their numbers"
            )
            taken.update(column.name for column in several)
    left = [spec for spec in wide if spec.name not in feeds]
    if len(left) > 1:
        raise _unsupported(
            f"The inputs {listed([s.name for s in left])} each take several numbers a row; which columns go where "
            "cannot be told from a table. Name the columns after the inputs and number them (x_0, x_1, ...), or export "
            "a signature with one input a column, or with one for all."
        )
    rest = [column for column in columns if column.name not in taken]
    feeds |= {spec.name: _matrix(rest, spec) for spec in left}
    return [feeds[spec.name] for spec in inputs]


def _single(columns: Sequence[Column], spec: TensorSpec) -> Feed:
    """All columns as one matrix, or the one column of an input for one value."""
    if _width(spec) != 1 or len(columns) == 1:
        return _matrix(columns, spec)
    found = matched([spec.name], columns).get(spec.name)
    if found is None and spec.dtype == "string":
        texts = [column for column in columns if column.kind == "string"]
        found = texts[0] if len(texts) == 1 else None
    if found is None:
        raise _count_mismatch(columns, spec, 1)
    return Feed(spec, (found.name,), _row_shape(spec, 1))


def _matrix(columns: Sequence[Column], spec: TensorSpec) -> Feed:
    width = _width(spec)
    if width is not None and width != len(columns):
        raise _count_mismatch(columns, spec, width)
    shape = _row_shape(spec, len(columns))
    plain = shape == (len(columns),)
    return Feed(
        spec,
        tuple(column.name for column in columns),
        shape,
        None if plain else f"{len(columns)} columns in file order, as rows of the shape {list(shape)}",
    )


def _named(spec: TensorSpec, found: Column) -> Feed:
    note = None if found.name == spec.name else f"matched to the column {found.name!r}"
    return Feed(spec, (found.name,), _row_shape(spec, 1), note)


def _missing(spec: TensorSpec, columns: Sequence[Column]) -> DataError:
    names = [column.name for column in columns]
    return DataError(
        "feature_missing",
        f"The model has an input {spec.name!r}, but no column has that name; there is {listed(names)}."
        f"{suggestion(spec.name, names)} Rename the column as the input, in both splits, or add it.",
        field="data.features",
        column=spec.name,
    )


def _width(spec: TensorSpec) -> int | None:
    """How many values a row of the input has; None where the signature leaves it open."""
    if spec.shape is None or None in spec.shape[1:]:
        return None
    return math.prod(size for size in spec.shape[1:] if size is not None)


def _row_shape(spec: TensorSpec, columns: int) -> tuple[int, ...]:
    """The shape of a row of so many values, as the input takes it."""
    if spec.shape is None:
        return (columns,)
    sizes = spec.shape[1:]
    if sizes.count(None) == 0:
        return tuple(size for size in sizes if size is not None)
    known = math.prod(size for size in sizes if size is not None)
    if sizes.count(None) > 1 or known == 0 or columns % known:
        raise _unsupported(
            f"Input {spec.name!r} takes rows of the shape {_shown(spec)}, which {columns} columns cannot be."
        )
    return tuple(columns // known if size is None else size for size in sizes)


def _count_mismatch(columns: Sequence[Column], spec: TensorSpec, width: int) -> DataError:
    names = [column.name for column in columns]
    return DataError(
        "feature_count_mismatch",
        f"The model's input {spec.name!r} takes {width} values a row, the data have {len(names)} feature columns: "
        f"{listed(names)}. {_to_balance(width - len(names))}",
        field="data.features",
    )


def _to_balance(missing: int) -> str:
    """What to do about columns that are missing, or about those that are too many (negative)."""
    if missing > 0:
        return (
            f"{missing} {'is' if missing == 1 else 'are'} missing: add the column{'s' * (missing > 1)} to the files of "
            "both splits, made as for training (encoded, one-hot); a column that stands in one split alone does not "
            "count, nor does one that data.exclude or data.features leaves out."
        )
    return (
        f"{-missing} {'is' if missing == -1 else 'are'} too many: name what is no feature in data.exclude (or as id, "
        "group, time or weight, where it is that), or the model's columns in data.features."
    )


def _array_feed(split: Split, inputs: Sequence[TensorSpec], *, decodes: bool) -> InputFeed:
    if len(inputs) > 1:
        raise _unsupported(
            f"The signature takes {len(inputs)} inputs ({listed([s.name for s in inputs])}), an array x feeds one. "
            "Give tables with a column for each input, or name another signature in model.signature."
        )
    spec = inputs[0]
    if decodes and spec.dtype == "string" and len(split.row_shape) == 3:
        return PictureFeed(spec)
    for shape, note in _ways(split.row_shape, spec):
        if _fits(shape, spec):
            return Feed(spec, (), None if note is None else shape, note)
    raise DataError(
        "feature_shape_mismatch",
        f"A row of x has the shape {list(split.row_shape)}, the model's input {spec.name!r} takes {_shown(spec)}. "
        "Reshape x as for training.",
        field="data.train.uri",
        file=split.files[0],
    )


def _ways(row_shape: tuple[int, ...], spec: TensorSpec) -> list[tuple[tuple[int, ...], str | None]]:
    """Row shapes that hold the same values in the same order, the most faithful first."""
    ways: list[tuple[tuple[int, ...], str | None]] = [
        (row_shape, None),
        ((*row_shape, 1), "an axis of size 1 was added"),
    ]
    if row_shape and row_shape[-1] == 1:
        ways.append((row_shape[:-1], "the last axis, of size 1, was removed"))
    size = math.prod(row_shape)
    if _width(spec) == size:
        shape = _row_shape(spec, size)
        ways.append((shape, f"rows of the shape {list(row_shape)} were reshaped to {list(shape)}"))
    return ways


def _fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    if spec.shape is None:
        return True
    wanted = spec.shape[1:]
    return len(shape) == len(wanted) and all(w is None or w == s for s, w in zip(shape, wanted, strict=True))


def _shown(spec: TensorSpec) -> str:
    sizes = spec.shape[1:] if spec.shape is not None else ()
    return "[" + ", ".join("any" if size is None else str(size) for size in sizes) + "]"


def _unsupported(why: str) -> ModelError:
    return ModelError("inputs_unsupported", why, field="model.signature")
