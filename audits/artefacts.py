"""What the engine knows of a model and of a split of data, whatever format they came in.

`audits.sources` and `audits.models` provide these; evidence, checks and repairs use nothing else of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[Any]
SplitName = Literal["train", "validation"]
ColumnKind = Literal["number", "string", "boolean", "time"]

# The feature values of some rows: a frame (one column a feature) for tables, an array (rows, ...) for arrays.
Rows = pd.DataFrame | Array


@dataclass(frozen=True)
class FoundText:
    """A text (cut to 40 characters) and where it stands; the row is counted from 0 within the file."""

    value: str
    row: int
    file: str


@dataclass(frozen=True)
class Column:
    """A column of a table, with the one type that all of its files agree on.

    `text` is the first value that is no number, in a column of strings. `list_of` is the column of lists of differing
    length that this is a place of.
    """

    name: str
    kind: ColumnKind
    text: FoundText | None = None
    list_of: str | None = None


@dataclass(frozen=True)
class Batch:
    """Some consecutive rows of a split.

    Attributes:
        first_row: number of the first row within the split, counted from 0 over all files.
        features: rows as read. Numbers are float64 (int64 where the column is whole and has no holes),
            strings are object with None for missing, booleans float64, times datetime64[ns].
        labels: (rows,) float64, int64 or object (strings, None for missing); (rows, classes) when one-hot.
        roles: the other role columns (weight, id, group, time) that were named, each (rows,).
    """

    first_row: int
    features: Rows
    labels: Array
    roles: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Span:
    """Consecutive rows of a split, counted from 0: from `first` up to and without `stop`."""

    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


class Split(Protocol):
    """An opened split: its schema is known and checked, its rows are read batch by batch, once."""

    name: SplitName
    layout: Literal["table", "array"]
    columns: tuple[Column, ...]  # feature columns in file order; empty for arrays
    row_shape: tuple[int, ...]  # (columns,) for tables, the shape of one row for arrays
    files: tuple[str, ...]

    def batches(self, rows: int = 8192, span: Span | None = None) -> Iterator[Batch]:
        """All rows in file order, or those of a span that lies between two `starts` for the same `rows`.

        A batch of a span is one that all rows in order would come in too.

        Raises:
            DataError: naming the file, and the row or column to blame.
        """
        ...

    def starts(self, rows: int = 8192) -> tuple[int, ...]:
        """The first rows of batches that can be read without all those before them, ascending from 0, and the number
        of rows at the end; empty where the rows can only be read from the first one on.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What was read and what was done to each column, for the report's `data` section (JSON values)."""
        ...


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a signature.

    Attributes:
        dtype: numpy's name, or "string".
        shape: with the rows first; None is any size.
        layout: how the values are laid out.
        components: what a sparse input (indices, values, dense shape) or a ragged one (values, row splits) is fed
            with, by the names of the signature.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    layout: Literal["dense", "sparse", "ragged"] = "dense"
    components: tuple[str, ...] = ()


@dataclass(frozen=True)
class FixedInput:
    """A single value that the model takes besides the rows, such as whether it is being trained.

    Attributes:
        name: of the signature's input, or of a placeholder that the signature forgot.
        value: that it is fed with.
        reason: why that one, for the report.
        tensor: of the placeholder, where no input of the signature leads there: only a session can feed it.
    """

    name: str
    dtype: str
    value: bool | int | float | str
    reason: str
    tensor: str | None = None


@dataclass(frozen=True)
class ExampleFeature:
    """A feature that the model parses out of `tf.train.Example` messages.

    Attributes:
        dtype: float32, int64 or string, the three that the message has.
        shape: of one row; None where a row may have any number of values.
        has_default: whether the feature may be left out.
        is_used: whether the output follows from it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    has_default: bool = False
    is_used: bool = True


@dataclass(frozen=True)
class LineFormat:
    """The lines of CSV that a model decodes itself.

    Attributes:
        columns: how many there are; at least so many where the model takes some of them.
        takes_all: whether the model takes every column.
        delimiter: between cells.
    """

    columns: int
    takes_all: bool
    delimiter: str


@dataclass(frozen=True)
class ModelDescription:
    """What the protobuf says before anything runs.

    Attributes:
        output_ops: the op behind each output, seen through Identity and function calls: "Sigmoid", "BiasAdd"...
        notes: what was decided in opening the model (container, tags, signature, state), for the report.
        is_version_1: a graph of TensorFlow 1, without saved objects; TensorFlow 2 may fail to run it as a function.
        ops: every op of the graph and of its functions -> a node of it.
        fixed: inputs that take one value, whatever the rows are.
        examples: input of serialized messages -> the features that are parsed out of it.
        decodes_images: whether its one input takes images as the bytes of files.
        lines: how its one input takes a row as a line of CSV, where it does.
    """

    path: str
    signature: str
    signatures: tuple[str, ...]
    tags: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tensorflow_version: str
    parameters: int | None = None
    output_ops: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    is_version_1: bool = False
    ops: Mapping[str, str] = field(default_factory=dict)
    fixed: tuple[FixedInput, ...] = ()
    examples: Mapping[str, tuple[ExampleFeature, ...]] = field(default_factory=dict)
    decodes_images: bool = False
    lines: LineFormat | None = None

    @property
    def named_features(self) -> dict[str, str]:
        """Name -> type of everything that columns may be named after: inputs, and features parsed out of them."""
        parsed = {feature.name: feature.dtype for features in self.examples.values() for feature in features}
        return {spec.name: spec.dtype for spec in self.inputs if spec.name not in self.examples} | parsed


@dataclass(frozen=True)
class ClassList:
    """Names of classes in the order of the model's outputs, and where they were found, for a sentence."""

    names: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Place:
    """Where an input's values stand.

    Attributes:
        input: name of the model's input.
        position: along the last axis of the input; None for an input of one value, or for all of its values alike.
        column: the column or unit of the data that is fed there, once that is known.
    """

    input: str
    position: int | None = None
    column: str | None = None


@dataclass(frozen=True)
class Normaliser:
    """What the model does to its inputs before anything else: (x - mean) / sd.

    Attributes:
        name: of the layer, as far as the graph tells.
        kind: normalization and batch_normalization hold statistics of the data; rescaling holds constants.
        mean, sd: (places,) in the units of the input.
        places: the values that go in, in order.
    """

    name: str
    kind: Literal["normalization", "batch_normalization", "rescaling"]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class BatchNorm:
    """Moving statistics of a batch normalisation; `first` where it is fed with the inputs themselves."""

    name: str
    mean: tuple[float, ...]
    variance: tuple[float, ...]
    first: bool


@dataclass(frozen=True)
class Vocabulary:
    """A lookup table's keys.

    Attributes:
        name: of the layer, as far as the graph tells.
        tokens: texts, or whole numbers; at most so many as are read.
        size: of the whole table.
        places: what is looked up.
        is_split: whether texts are cut into words first.
        is_lowered: whether they are written in lower case first.
    """

    name: str
    tokens: tuple[str, ...] | tuple[int, ...]
    size: int
    places: tuple[Place, ...]
    is_split: bool = False
    is_lowered: bool = False


@dataclass(frozen=True)
class Embedding:
    """A table of vectors; `places` are empty where the ids come out of a lookup or cannot be followed."""

    name: str
    rows: int
    width: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Discretisation:
    """Boundaries between buckets."""

    name: str
    boundaries: tuple[float, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class WeightMatrix:
    """A kernel, as (inputs, outputs).

    Attributes:
        shape: as stored.
        norm: Frobenius norm.
        stable_rank: squared Frobenius norm over the squared spectral norm; None where it was not computed.
        alpha: exponent of a power law through the tail of the squared singular values; None for small matrices.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    stable_rank: float | None = None
    alpha: float | None = None


@dataclass(frozen=True)
class ModelInternals:
    """What a SavedModel holds about the data that it was made for."""

    normalisers: tuple[Normaliser, ...] = ()
    batch_norms: tuple[BatchNorm, ...] = ()
    vocabularies: tuple[Vocabulary, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    discretisations: tuple[Discretisation, ...] = ()
    weights: tuple[WeightMatrix, ...] = ()
    compute_types: tuple[str, ...] = ()


class Model(Protocol):
    """A model that can be run, in a process of its own."""

    description: ModelDescription

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, each (rows, ...), for inputs by name, each (rows, ...).

        Raises:
            ModelError: the model refused these inputs.
            EvaluatorError: the model's process died.
        """
        ...

    def variables(self, keys: Sequence[str]) -> dict[str, Array]:
        """Values of the checkpoint by key; those that are missing or too large are left out.

        Raises:
            ModelError: the checkpoint cannot be read.
            EvaluatorError: the model's process died.
        """
        ...

    def close(self) -> None: ...
