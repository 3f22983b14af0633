"""Texts of models, data and other callers, fit for a terminal: it would obey the control characters in them."""

from typing import Any, TypeVar

from pydantic import BaseModel

from service.formats.words import visible

_Model = TypeVar("_Model", bound=BaseModel)


def printable(model: _Model) -> _Model:
    """The same, with escapes in place of characters that cannot be seen, but for line ends and tabs."""
    return type(model).model_validate(_plain(model.model_dump()))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value, kept="\n\t")
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
