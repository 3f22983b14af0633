"""Training histories: Keras' `History.history` as JSON, the files of `CSVLogger`, TensorBoard's log folders."""

import csv
import json
import math
import re
import stat
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from audits.sources.histories import runs, tensorboard
from schemas.problem import DataError

# Of text, which takes a hundred times as much memory: a million epochs of one metric each.
MAX_BYTES = 8 * 2**20
FIELD = "history.uri"
_MISSING = {"", "na", "nan", "none", "null"}
# How numpy and TensorFlow print a number: np.float32(0.5), array(0.5, dtype=float32), tf.Tensor(0.5, shape=()...
_PRINTED = re.compile(r"(?:(?:np|numpy)\.\w+|array|tf\.Tensor|<tf\.Tensor.*numpy=)\(?\s*([-+.\w]+)[,)>].*", re.DOTALL)


class LoggedHistory(dict[str, list[float]]):
    """Metric -> its value after each epoch, with notes on what was decided while reading."""

    def __init__(self, metrics: Mapping[str, list[float]], notes: Iterable[str] = ()) -> None:
        super().__init__(metrics)
        self.notes = tuple(notes)


def read_history(path: Path) -> LoggedHistory:
    """Metric -> its value after each epoch.

    A value that is NaN, infinite or missing (a diverged run; a metric that not every epoch computed) becomes NaN, so
    that epochs keep their place. The column `epoch` of a CSVLogger file orders the epochs and is no metric; entries
    that are not lists of numbers (a learning-rate schedule's name) are left out. Of several runs in one file, see
    `audits.sources.histories.runs`.

    Raises:
        DataError: `history_unreadable`, `history_not_found`, `history_ambiguous` or `history_malformed`, saying what
            is expected.
    """
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode):
            return LoggedHistory(*tensorboard.read_folder(path))
        if not stat.S_ISREG(info.st_mode):
            # a FIFO would hang the reader for ever
            raise DataError(
                "history_unreadable", f"{path} is not a regular file; name a file.", field=FIELD, file=str(path)
            )
        if tensorboard.MARK in path.name:
            return LoggedHistory(*tensorboard.read_file(path))
        if info.st_size > MAX_BYTES:
            raise _malformed(path, f"it is larger than {MAX_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _malformed(path, "it is not UTF-8 text") from None
    except OSError as error:
        raise DataError(
            "history_unreadable", f"{path} cannot be read: {error.strerror}.", field=FIELD, file=str(path)
        ) from None
    history = _from_json(text, path) if text.lstrip().startswith(("{", "[")) else _from_csv(text, path)
    if not any(history.values()):
        raise _malformed(path, "it holds no metric with a value for each epoch")
    return history


def _from_json(text: str, path: Path) -> LoggedHistory:
    try:
        # json reads NaN and Infinity, which Python writes
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = _json_lines(text)
        if lines is None:
            raise _malformed(path, f"it is no JSON: {str(error)[:200]}") from None
        found = lines
    if isinstance(found, Mapping) and isinstance(found.get("history"), Mapping | list):
        found = found["history"]
    if isinstance(found, list) and found and all(isinstance(epoch, Mapping) for epoch in found):
        return _from_epochs(found)
    if not isinstance(found, Mapping):
        raise _malformed(path, "its JSON is no object")
    metrics = {str(name): values for name, raw in found.items() if (values := _numbers(raw)) is not None}
    return LoggedHistory({name: values for name, values in metrics.items() if name.strip().casefold() != "epoch"})


def _json_lines(text: str) -> list[Any] | None:
    """One object a line, one line an epoch."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        found = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        return None
    return found if len(found) > 1 and all(isinstance(line, Mapping) for line in found) else None


def _from_epochs(epochs: list[Mapping[str, Any]]) -> LoggedHistory:
    """One object an epoch, metric -> value."""
    told: runs.Epochs = []
    for epoch in epochs:
        values = {str(name): number for name, raw in epoch.items() if (number := _number(raw)) is not None}
        told.append((_epoch_number(values, told), values))
    return _joined(told)


def _joined(epochs: runs.Epochs) -> LoggedHistory:
    joined = runs.join(runs.segments(epochs))
    return LoggedHistory(joined.metrics(), joined.notes)


def _epoch_number(values: dict[str, float], before: runs.Epochs) -> int:
    """Taken out of the values; counted where none is logged."""
    name = next((n for n in values if n.strip().casefold() == "epoch"), None)
    number = math.nan if name is None else values.pop(name)
    if math.isfinite(number):
        return int(number)
    return before[-1][0] + 1 if before else 0


def _numbers(raw: Any) -> list[float] | None:
    if isinstance(raw, Mapping):
        # as pandas writes a frame: {"0": 0.7, "1": 0.6}
        keys = list(raw)
        if keys != [str(place) for place in range(len(keys))]:
            return None
        raw = list(raw.values())
    if not isinstance(raw, list) or not raw:
        return None
    values = [_number(value) for value in raw]
    return None if any(value is None for value in values) else [v for v in values if v is not None]


def _number(value: Any) -> float | None:
    """NaN for what is missing; None for what is no number."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        value = value.strip()
        if value.casefold() in _MISSING:
            return math.nan
        printed = _PRINTED.fullmatch(value[:200])
        try:
            value = float(printed[1] if printed else value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _from_csv(text: str, path: Path) -> LoggedHistory:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise _malformed(path, str(error)) from None
    if len(rows) < 2:
        raise _malformed(path, "it holds no epochs")
    header = [name.strip() for name in rows[0]]
    texts = _text_columns(header, rows, delimiter)
    epochs: runs.Epochs = []
    for number, row in enumerate(rows[1:]):
        if [name.strip() for name in row] == header:
            continue  # a second run was appended with a header of its own
        values = {
            name: _cell(row, place, number, name, path, delimiter)
            for place, name in enumerate(header)
            if place not in texts
        }
        epochs.append((_epoch_number(values, epochs), values))
    return _joined(epochs)


def _text_columns(header: list[str], rows: list[list[str]], delimiter: str) -> set[int]:
    """Columns of text, in which cells may be empty: a schedule's name, the list of a metric with one value a class."""
    texts: set[int] = set()
    numbers: set[int] = set()
    for row in rows[1:]:
        for place, text in enumerate(row[: len(header)]):
            value = _csv_number(text, delimiter)
            if value is None:
                texts.add(place)
            elif math.isfinite(value):
                numbers.add(place)
    return texts - numbers


def _cell(row: list[str], place: int, number: int, name: str, path: Path, delimiter: str) -> float:
    text = row[place] if place < len(row) else ""
    value = _csv_number(text, delimiter)
    if value is None:
        raise _bad_value(path, name, text, number)
    return value


def _csv_number(text: str, delimiter: str) -> float | None:
    value = _number(text)
    # where columns are cut by semicolons, a comma may stand for the point
    return _number(text.replace(",", ".")) if value is None and delimiter == ";" and text.count(",") == 1 else value


def _bad_value(path: Path, name: str, text: str, row: int) -> DataError:
    return DataError(
        "history_malformed",
        f"{path.name} holds {text[:40]!r} for {name!r} in row {row}, which is not a number.",
        field=FIELD,
        file=str(path),
        row=row,
        column=name,
    )


def _malformed(path: Path, why: str) -> DataError:
    return DataError(
        "history_malformed",
        f"{path.name} is no training history: {why}. Give History.history as JSON, "
        '{"loss": [...], "val_loss": [...]}, a file of CSVLogger, or the log folder of TensorBoard.',
        field=FIELD,
        file=str(path),
    )
