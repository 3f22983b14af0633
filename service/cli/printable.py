"""Texts of models, data and other callers, fit for a terminal: it would obey the control characters in them."""

from typing import Any, TypeVar

from pydantic import BaseModel

_Model = TypeVar("_Model", bound=BaseModel)
_KEPT = frozenset("\n\t")


def printable(model: _Model) -> _Model:
    """The same, with escapes (U+001B is written as such) in place of characters that cannot be seen."""
    return type(model).model_validate(_plain(model.model_dump()))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c in _KEPT else ascii(c)[1:-1] for c in value)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
