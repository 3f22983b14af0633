"""One pass over a split: labels, predictions and fingerprints of all rows, features of a bounded sample.

Where several processes of the model are there, each answers another part of the split at the same time; the parts'
folds merge to what one pass gives.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audits.artefacts import Array, Batch, Rows, Span, Split, SplitName
from audits.evidence.fold import RawSplit, SplitFold
from audits.evidence.row_fingerprints import fingerprints
from audits.evidence.sample import sample_key
from schemas.problem import DataError

# A batch of so many rows costs little beside them; wide rows come in smaller batches.
BATCH_ROWS, MIN_BATCH_ROWS = 32_768, 64
BATCH_BYTES = 64 * 2**20
VALUE_BYTES, TEXT_BYTES = 8, 256
# Batches that are read ahead while the model answers.
AHEAD = 1
MAX_SAMPLE_ROWS, MIN_SAMPLE_ROWS = 20_000, 300
MAX_SAMPLE_BYTES, PIXEL_BYTES = 256 * 2**20, 4
# Parts for each process of the model: a slow one is not waited for long at the end.
SPANS_EACH = 3

Predict = Callable[[Rows], Mapping[str, Array]]


@dataclass(frozen=True)
class Plan:
    """What all folds of a split must have in common.

    Attributes:
        rows: of a batch.
        key: (2,) uint64, of the sample.
        capacity: rows of the sample.
    """

    rows: int
    key: Array
    capacity: int

    def fold(self, name: SplitName) -> SplitFold:
        return SplitFold(name, self.key, self.capacity)


def collect(
    split: Split,
    predicts: Predict | Sequence[Predict],
    rng: np.random.Generator,
    on_rows: Callable[[int], None] = lambda _: None,
) -> RawSplit:
    """Read every row once and run the model on it.

    Args:
        split: the opened split.
        predicts: the raw outputs, name -> (rows, ...), for features; several functions are called at the same time,
            each by one thread.
        rng: chooses the sample.
        on_rows: told the number of rows done after each batch.

    Raises:
        DataError: there are no rows.
    """
    several = [predicts] if callable(predicts) else list(predicts)
    key = sample_key(rng)
    spans = divided(split.starts(batch_rows(split)), SPANS_EACH * len(several)) if len(several) > 1 else []
    if len(spans) < 2:
        return _in_order(split, several[0], key, on_rows)
    first = first_batch(split)
    for predict in several:
        predict(first.features)  # in this thread, which outlives those of the parts; see `_answered`
    return _at_once(split, several, plan_for(split, key, first), spans, on_rows)


def plan_for(split: Split, key: Array, first: Batch) -> Plan:
    """The plan of a split, from its first batch."""
    return Plan(batch_rows(split), key, _capacity(first))


def first_batch(split: Split) -> Batch:
    """The first batch of a split.

    Raises:
        DataError: there are no rows.
    """
    first = next((batch for batch in split.batches(batch_rows(split)) if len(batch)), None)
    if first is None:
        raise _no_rows(split.name)
    return first


def divided(starts: Sequence[int], parts: int) -> list[Span]:
    """At most so many spans of about as many rows each, which begin at `starts`; see `Split.starts`."""
    if len(starts) < 2:
        return []
    wanted = [round(starts[-1] * part / parts) for part in range(1, parts)]
    places = np.unique(np.searchsorted(starts, wanted))
    borders = [0, *(starts[place] for place in places if 0 < starts[place] < starts[-1]), starts[-1]]
    return [Span(first, stop) for first, stop in pairwise(borders)]


def fold_span(
    split: Split, span: Span, predict: Predict, fold: SplitFold, rows: int, on_batch: Callable[[int], None]
) -> None:
    """Fold the rows of a span in batches of `rows` rows; `on_batch` is told how many rows each has."""
    for batch, marks, outputs in _answered(split.batches(rows, span), predict, split.name):
        fold.update(batch, marks, outputs)
        on_batch(len(batch))


def _in_order(split: Split, predict: Predict, key: Array, on_rows: Callable[[int], None]) -> RawSplit:
    counted = _Counter(on_rows)
    fold: SplitFold | None = None
    for batch, marks, outputs in _answered(split.batches(batch_rows(split)), predict, split.name):
        fold = fold or SplitFold(split.name, key, _capacity(batch))
        fold.update(batch, marks, outputs)
        counted.add(len(batch))
    if fold is None:
        raise _no_rows(split.name)
    return fold.finish()


def _at_once(
    split: Split, predicts: Sequence[Predict], plan: Plan, spans: Sequence[Span], on_rows: Callable[[int], None]
) -> RawSplit:
    """Every function of `predicts` folds spans until none is left."""
    counted, queue = _Counter(on_rows), SpanQueue(spans)

    def work(predict: Predict) -> SplitFold:
        fold = plan.fold(split.name)
        for place, span in queue:
            try:
                fold_span(split, span, predict, fold, plan.rows, counted.add)
            except Exception as error:
                queue.fail(place, error)
        return fold

    with ThreadPoolExecutor(len(predicts), "shard") as threads:
        folds = [found.result() for found in [threads.submit(work, predict) for predict in predicts]]
    queue.require_no_failure()
    whole = folds[0]
    for other in folds[1:]:
        whole.merge(other)
    return whole.finish()


class SpanQueue:
    """Spans that several workers take, in order. After a failure none behind it is given out."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._waiting = deque(enumerate(spans))
        self._lock = threading.Lock()
        self._failures: dict[int, Exception] = {}

    def __iter__(self) -> Iterator[tuple[int, Span]]:
        while (taken := self.take()) is not None:
            yield taken

    def take(self) -> tuple[int, Span] | None:
        with self._lock:
            return self._waiting.popleft() if self._has_more() else None

    def give_back(self, place: int, span: Span) -> None:
        """Have somebody else take it."""
        with self._lock:
            self._waiting = deque(sorted([(place, span), *self._waiting]))

    def has_more(self) -> bool:
        """Whether `take` gives one."""
        with self._lock:
            return self._has_more()

    def _has_more(self) -> bool:
        return bool(self._waiting) and (not self._failures or self._waiting[0][0] < min(self._failures))

    def fail(self, place: int, error: Exception) -> None:
        with self._lock:
            self._failures[place] = error

    def require_no_failure(self) -> None:
        """Raise what went wrong first in the order of the rows, as one pass would have met it.

        All spans before a failed one were taken before it, and so have come to their end.
        """
        if self._failures:
            raise self._failures[min(self._failures)]


class _Counter:
    """Rows that are done, over all threads."""

    def __init__(self, on_rows: Callable[[int], None]) -> None:
        self._on_rows = on_rows
        self._done = 0
        self._lock = threading.Lock()

    def add(self, rows: int) -> None:
        with self._lock:
            self._done += rows
            self._on_rows(self._done)


def _answered(
    batches: Iterator[Batch], predict: Predict, name: SplitName
) -> Iterator[tuple[Batch, Array, Mapping[str, Array]]]:
    """Every batch with a row, the fingerprints of its rows, and what the model answers, in its process, meanwhile.

    The first answer is asked for by the thread that called: a model that cannot run as it was loaded is started anew
    then, and its process ends with the thread that started it.
    """
    with ThreadPoolExecutor(1, "asking") as asking:
        is_first = True
        for batch in _read_ahead(batches):
            if not len(batch):
                continue
            if "weight" in batch.roles:
                _require_weights(batch, name)
            ask = _at_once_done if is_first else asking.submit
            is_first = False
            answer = ask(predict, batch.features)
            marks = fingerprints(batch.features)
            yield batch, marks, answer.result()


def _at_once_done(predict: Predict, rows: Rows) -> "Future[Mapping[str, Array]]":
    """As an executor's `submit`, in this thread."""
    answer: Future[Mapping[str, Array]] = Future()
    answer.set_result(predict(rows))
    return answer


def _read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, read by a thread: files are read while the model answers."""
    with ThreadPoolExecutor(1, "reader") as reader:
        waiting = deque(reader.submit(next, batches, None) for _ in range(AHEAD + 1))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(reader.submit(next, batches, None))
            yield batch


def batch_rows(split: Split) -> int:
    """How many rows a batch has, so that it stays small."""
    texts = sum(column.kind == "string" for column in split.columns)
    row_bytes = VALUE_BYTES * math.prod(split.row_shape) + TEXT_BYTES * texts
    return int(np.clip(BATCH_BYTES // max(row_bytes, 1), MIN_BATCH_ROWS, BATCH_ROWS))


def _no_rows(name: SplitName) -> DataError:
    return DataError("data_empty", f"The {name} data hold no rows.", field=f"data.{name}.uri")


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


def _capacity(batch: Batch) -> int:
    """How many rows of this size the sample may hold."""
    features = batch.features
    if isinstance(features, np.ndarray):
        size = features.size * max(features.itemsize, PIXEL_BYTES)  # repairs make floats of them
    else:
        size = int(features.memory_usage(deep=True).sum())
    return int(np.clip(MAX_SAMPLE_BYTES / max(1.0, size / len(batch)), MIN_SAMPLE_ROWS, MAX_SAMPLE_ROWS))
