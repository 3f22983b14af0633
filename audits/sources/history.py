"""Training histories: Keras' `History.history` as JSON, and the files of `CSVLogger`."""

import csv
import json
import math
import stat
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from schemas.problem import DataError

MAX_BYTES = 64 * 2**20
FIELD = "history.uri"
_MISSING = {"", "na", "nan", "none", "null"}


def read_history(path: Path) -> dict[str, list[float]]:
    """Metric -> its value after each epoch.

    A value that is NaN, infinite or missing (a diverged run; a metric that not every epoch computed) becomes NaN, so
    that epochs keep their place. The column `epoch` of a CSVLogger file is no metric; entries of a JSON history that
    are not lists of numbers (a learning-rate schedule's name) are left out.

    Raises:
        DataError: `history_unreadable` or `history_malformed`, saying what is expected.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            # a FIFO would hang the reader for ever
            raise DataError(
                "history_unreadable", f"{path} is not a regular file; name a file.", field=FIELD, file=str(path)
            )
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


def _from_json(text: str, path: Path) -> dict[str, list[float]]:
    try:
        # json reads NaN and Infinity, which Python writes
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"it is no JSON: {str(error)[:200]}") from None
    if isinstance(found, Mapping) and isinstance(found.get("history"), Mapping):
        found = found["history"]
    if not isinstance(found, Mapping):
        raise _malformed(path, "its JSON is no object")
    return {str(name): values for name, raw in found.items() if (values := _numbers(raw)) is not None}


def _numbers(raw: Any) -> list[float] | None:
    if not isinstance(raw, list) or not raw:
        return None
    values = [_number(value) for value in raw]
    return None if any(value is None for value in values) else [v for v in values if v is not None]


def _number(value: Any) -> float | None:
    """NaN for what is missing; None for what is no number."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        if value.strip().casefold() in _MISSING:
            return math.nan
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _from_csv(text: str, path: Path) -> dict[str, list[float]]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise _malformed(path, str(error)) from None
    if len(rows) < 2:
        raise _malformed(path, "it holds no epochs")
    header, epochs = rows[0], rows[1:]
    history: dict[str, list[float]] = {}
    for place, name in enumerate(header):
        if name.strip().casefold() == "epoch":
            continue
        values = [_cell(row, place, number, name, path) for number, row in enumerate(epochs)]
        history[name.strip()] = values
    return history


def _cell(row: list[str], place: int, number: int, name: str, path: Path) -> float:
    text = row[place] if place < len(row) else ""
    value = _number(text)
    if value is None:
        raise DataError(
            "history_malformed",
            f"{path.name} holds {text[:40]!r} for {name!r} in row {number}, which is no number.",
            field=FIELD,
            file=str(path),
            row=number,
            column=name,
        )
    return value


def _malformed(path: Path, why: str) -> DataError:
    return DataError(
        "history_malformed",
        f"{path.name} is no training history: {why}. Give History.history as JSON, "
        '{"loss": [...], "val_loss": [...]}, or a file of CSVLogger.',
        field=FIELD,
        file=str(path),
    )
