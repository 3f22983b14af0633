"""Invalid fields, named as the client wrote them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic_core import ErrorDetails

from schemas.problem import FieldError

MAX_ERRORS = 100
MAX_SHOWN = 200
# What pydantic calls the kind of value that a field takes -> what a client writes.
KINDS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
}
_NOTHING = object()


def _as_written(value: Any) -> Any:
    """Refuse texts that only read as a number, such as ``+5`` and ``5.0``.

    Raises:
        ValueError: which pydantic turns into an error of the field.
    """
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise ValueError("write a whole number in digits")
    return value


# A whole number in a query or a header.
WrittenInt = Annotated[int, BeforeValidator(_as_written)]


def field_errors(errors: Iterable[ErrorDetails], content: Any, model: type[BaseModel]) -> list[FieldError]:
    """Pydantic's errors by field; the alternatives that a field has become one error.

    Args:
        errors: locations start at the top of `content`.
        content: what was validated, as it was sent.
        model: what it was validated against.
    """
    found: dict[str, list[ErrorDetails]] = {}
    for error in errors:
        path = _path(error["loc"], content)
        found.setdefault(".".join(map(str, path)) or "body", []).append(error)
    return [FieldError(field=field, detail=_detail(of_field, model)) for field, of_field in found.items()][:MAX_ERRORS]


def _path(loc: Sequence[int | str], content: Any) -> list[int | str]:
    """The location without the names of union members, which stand in no request."""
    path: list[int | str] = []
    for part in loc:
        if isinstance(content, Mapping) and isinstance(part, str):
            content = content.get(part, _NOTHING)
        elif isinstance(content, Sequence) and not isinstance(content, str) and isinstance(part, int):
            content = content[part] if part < len(content) else _NOTHING
        else:
            continue
        path.append(part)
    return path


def _detail(errors: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    """What to give: the kinds of value that the field takes, where it was given none of them."""
    kinds = list(dict.fromkeys(_kind(error, model) for error in errors))
    if None in kinds:
        return "; or: ".join(_sentence(error, model) for error in errors)
    named = [kind for kind in kinds if kind is not None]
    return f"Give {' or '.join(filter(None, (', '.join(named[:-1]), named[-1])))}."


def _kind(error: ErrorDetails, model: type[BaseModel]) -> str | None:
    """The kind of value that was missed; None where the kind was right, or the value was no text of that kind."""
    if error["type"] in {"model_type", "model_attributes_type"}:
        return _object(error, _model_at(model, error["loc"]))
    return KINDS.get(error["type"])


def _object(error: ErrorDetails, wanted: type[BaseModel] | None) -> str:
    """What was sent, as the object that was meant, where one text is all that it needs; else its fields."""
    if wanted is None:
        return "an object"
    required = [name for name, field in wanted.model_fields.items() if field.is_required()]
    sent = error["input"]
    if isinstance(sent, str) and len(sent) <= MAX_SHOWN and len(required) == 1:
        return f"an object: {json.dumps({required[0]: sent}, ensure_ascii=False)}"
    return f"an object with the fields {', '.join(wanted.model_fields)}"


def _sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] == "missing":
        return "This field is required."
    if error["type"] == "extra_forbidden":
        return _unknown_field(error["loc"], model)
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return message[:1].upper() + message[1:].rstrip(".") + "."


def _unknown_field(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    parent = _model_at(model, loc[:-1])
    return "Unknown field." if parent is None else f"Unknown field; known here: {', '.join(parent.model_fields)}."


def _model_at(top: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that the fields at `loc` belong to."""
    model: type[BaseModel] | None = top
    for part in loc:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(_model_in, get_args(annotation)) if found), None)
