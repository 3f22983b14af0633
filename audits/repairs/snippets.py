"""Pieces of the sentences and of the code that findings carry."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

SHORT = 80
MAX_NAMED = 3


def first_of(parts: Collection[str], most: int = MAX_NAMED, separator: str = ", ") -> str:
    """The first parts of a list, and dots where there are more."""
    shown: Iterable[str] = list(parts)[:most]
    return separator.join(shown) + (f"{separator}..." if len(parts) > most else "")


def constant(name: str, value: Mapping[Any, Any] | Sequence[Any], comment: str = "") -> str:
    """`NAME = value` as Python, one entry a line where one line would be long, followed by an empty line."""
    note = f"  # {comment}" if comment else ""
    plain = dict(value) if isinstance(value, Mapping) else list(value)
    if len(repr(plain)) <= SHORT:
        return f"{name} = {plain!r}{note}\n\n"
    if isinstance(plain, dict):
        entries = "".join(f"    {key!r}: {item!r},\n" for key, item in plain.items())
        return f"{name} = {{{note}\n{entries}}}\n\n"
    entries = "".join(f"    {item!r},\n" for item in plain)
    return f"{name} = [{note}\n{entries}]\n\n"
