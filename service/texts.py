"""Fields of a request from text, as people write them on the command line and in a form."""

import csv
from collections.abc import Sequence
from typing import Any

from schemas.problem import RequestError

# Before the position of a column: pos:0 is the first, pos:-1 the last.
POSITION = "pos:"


def names(text: str | None) -> list[str] | None:
    """Names between commas; those that hold a comma stand in quotes."""
    if text is None:
        return None
    cells = next(csv.reader([text], skipinitialspace=True), [])
    return [name.strip() for name in cells if name.strip()]


def columns(text: str | None) -> list[str | int] | None:
    """Columns between commas, each as `column` reads it."""
    listed = names(text)
    return None if listed is None else [column(name) for name in listed]  # type: ignore[misc]  # none is None


def column(text: str | None) -> str | int | None:
    """A column's name or pattern, or its position after `pos:`."""
    if text is None or not text.startswith(POSITION):
        return text
    try:
        return int(text.removeprefix(POSITION))
    except ValueError:
        raise RequestError(
            "position_unreadable",
            f"{text}: write {POSITION}0 for the first column, {POSITION}-1 for the last.",
            field="data",
        ) from None


def label(listed: Sequence[str] | str | None) -> str | int | list[str | int | None] | None:
    """One column; several that are one-hot."""
    if not listed:
        return None
    if isinstance(listed, str):
        return column(listed)
    return column(listed[0]) if len(listed) == 1 else [column(name) for name in listed]


def classes(text: str | None) -> Sequence[str | int] | None:
    """Class labels; whole numbers only where all of them are."""
    listed = names(text)
    if listed is None:
        return None
    try:
        return [int(name) for name in listed]
    except ValueError:
        return listed


def reported(text: str) -> dict[str, Any]:
    """``accuracy=0.93`` or ``accuracy``, of the validation data; of the training data after ``train:``."""
    name, equals, value = text.partition("=")
    split, colon, metric = name.partition(":")
    is_split = bool(colon) and split.strip() in {"train", "validation"}
    where = {"split": split.strip()} if is_split else {}
    try:
        return {"name": (metric if is_split else name).strip(), "value": float(value) if equals else None, **where}
    except ValueError:
        raise RequestError(
            "reported_unreadable", f"{text}: write a metric, or metric=number.", field="reported_metrics"
        ) from None


def tag(text: str) -> tuple[str, str]:
    """``key:value``."""
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise RequestError("tag_unreadable", f"{text}: write key:value.", field="tags")
    return key, value
