"""One pass over a split: labels, predictions and fingerprints of all rows, features of a bounded sample."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from audits.artefacts import Array, Batch, Rows, Split, SplitName
from audits.evidence.features import concatenate, take
from audits.evidence.row_fingerprints import fingerprints
from schemas.problem import DataError

# A batch of so many rows costs little beside them; wide rows come in smaller batches.
BATCH_ROWS, MIN_BATCH_ROWS = 32_768, 64
BATCH_BYTES = 64 * 2**20
VALUE_BYTES, TEXT_BYTES = 8, 256
# Batches that are read ahead while the model answers.
AHEAD = 1
MAX_SAMPLE_ROWS, MIN_SAMPLE_ROWS = 20_000, 300
MAX_SAMPLE_BYTES, PIXEL_BYTES = 256 * 2**20, 4
# Of several outputs, the widest (embeddings, maps) are let go where all together take more.
MAX_OUTPUT_BYTES = 2**28


@dataclass(frozen=True)
class RawSplit:
    """A split after its one pass.

    Attributes:
        name: train or validation.
        labels: (rows,) or (rows, classes), as read.
        outputs: name -> (rows, ...) of the outputs that may be judged; without the widest where they take too much.
        fingerprints: (rows,) uint64 of the features.
        roles: other role columns, each (rows,).
        sample_index: (sampled,) row numbers, ascending.
        sample_rows: the features of the sampled rows.
    """

    name: SplitName
    labels: Array
    outputs: Mapping[str, Array]
    fingerprints: Array
    roles: dict[str, Array]
    sample_index: Array
    sample_rows: Rows

    @property
    def n(self) -> int:
        return len(self.labels)


@dataclass
class _Reservoir:
    """A uniform sample of bounded size from a stream, kept in file order.

    Every row draws a uniform key; the rows with the smallest keys stay (Vitter's reservoir in its sort form).
    """

    capacity: int
    rng: np.random.Generator
    parts: list[Rows] = field(default_factory=list)
    keys: Array = field(default_factory=lambda: np.empty(0))
    index: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def add(self, batch: Batch) -> None:
        keys = self.rng.random(len(batch))
        if len(self.keys) >= self.capacity:
            wanted = keys < self.keys.max()
            keys, rows = keys[wanted], take(batch.features, wanted)
            index = batch.first_row + np.flatnonzero(wanted)
        else:
            rows, index = batch.features, batch.first_row + np.arange(len(batch))
        if not len(keys):
            return
        self.parts.append(rows)
        self.keys = np.concatenate([self.keys, keys])
        self.index = np.concatenate([self.index, index])
        if len(self.keys) > 2 * self.capacity:
            self._shrink()

    def _shrink(self) -> None:
        kept = np.sort(np.argpartition(self.keys, self.capacity - 1)[: self.capacity])
        self.parts = [take(concatenate(self.parts), kept)]
        self.keys, self.index = self.keys[kept], self.index[kept]

    def finish(self) -> tuple[Array, Rows]:
        if len(self.keys) > self.capacity:
            self._shrink()
        return self.index, concatenate(self.parts)


def collect(
    split: Split,
    predict: Callable[[Rows], Mapping[str, Array]],
    rng: np.random.Generator,
    on_rows: Callable[[int], None] = lambda _: None,
) -> RawSplit:
    """Read every row once and run the model on it.

    Args:
        split: the opened split.
        predict: the raw outputs, name -> (rows, ...), for features.
        rng: chooses the sample.
        on_rows: told the number of rows done after each batch.

    Raises:
        DataError: there are no rows.
    """
    labels: list[Array] = []
    outputs: dict[str, list[Array]] = {}
    let_go: set[str] = set()
    marks: list[Array] = []
    roles: dict[str, list[Array]] = {}
    reservoir: _Reservoir | None = None
    done = 0
    for batch in _read_ahead(split.batches(_batch_rows(split))):
        if not len(batch):
            continue
        if "weight" in batch.roles:
            _require_weights(batch, split.name)
        reservoir = reservoir or _Reservoir(_capacity(batch), rng)
        reservoir.add(batch)
        labels.append(batch.labels)
        for name, values in predict(batch.features).items():
            if name not in let_go:
                outputs.setdefault(name, []).append(values)
        let_go |= _widest(outputs)
        outputs = {name: parts for name, parts in outputs.items() if name not in let_go}
        marks.append(fingerprints(batch.features))
        for role, values in batch.roles.items():
            roles.setdefault(role, []).append(values)
        done += len(batch)
        on_rows(done)
    if reservoir is None:
        raise DataError("data_empty", f"The {split.name} data hold no rows.", field=f"data.{split.name}.uri")
    index, rows = reservoir.finish()
    joined = {role: np.concatenate(parts) for role, parts in roles.items()}
    return RawSplit(
        split.name,
        np.concatenate(labels),
        {name: np.concatenate(parts) for name, parts in outputs.items()},
        np.concatenate(marks),
        joined,
        index,
        rows,
    )


def _read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, read by a thread: files are read while the model, in its process, answers."""
    with ThreadPoolExecutor(1, "reader") as reader:
        waiting = deque(reader.submit(next, batches, None) for _ in range(AHEAD + 1))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(reader.submit(next, batches, None))
            yield batch


def _batch_rows(split: Split) -> int:
    """How many rows a batch has, so that it stays small."""
    texts = sum(column.kind == "string" for column in split.columns)
    row_bytes = VALUE_BYTES * math.prod(split.row_shape) + TEXT_BYTES * texts
    return int(np.clip(BATCH_BYTES // max(row_bytes, 1), MIN_BATCH_ROWS, BATCH_ROWS))


def _require_weights(batch: Batch, name: SplitName) -> None:
    """A weight says how often a row counts.

    Raises:
        DataError: naming the first row whose weight is missing, infinite or negative.
    """
    weights = batch.roles["weight"]
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise DataError(
            "weight_unusable",
            f"The {name} weight of row {batch.first_row + int(bad[0])} is {weights[bad[0]]:g}: a weight is a number "
            "from 0 up. Fill it, or leave data.weight out.",
            field="data.weight",
            row=batch.first_row + int(bad[0]),
        )


def _widest(outputs: Mapping[str, list[Array]]) -> set[str]:
    """The outputs that must go so that the others, at least one, stay within bounds."""
    sizes = {name: sum(part.nbytes for part in parts) for name, parts in outputs.items()}
    ordered = sorted(sizes, key=lambda name: -sizes[name])
    total, gone = sum(sizes.values()), set()
    for name in ordered[:-1]:
        if total > MAX_OUTPUT_BYTES:
            gone.add(name)
            total -= sizes[name]
    return gone


def _capacity(batch: Batch) -> int:
    """How many rows of this size the sample may hold."""
    features = batch.features
    if isinstance(features, np.ndarray):
        size = features.size * max(features.itemsize, PIXEL_BYTES)  # repairs make floats of them
    else:
        size = int(features.memory_usage(deep=True).sum())
    return int(np.clip(MAX_SAMPLE_BYTES / max(1.0, size / len(batch)), MIN_SAMPLE_ROWS, MAX_SAMPLE_ROWS))
