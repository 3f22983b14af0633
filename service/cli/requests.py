"""An audit request from the command line's options, from a file, or from both."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.problem import Problem, RequestError
from schemas.request import AuditRequest
from service.api.validation import field_errors

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


class InvalidOptionsError(RequestError):
    """Options or request file do not make a valid request; lists every invalid field."""

    def __init__(self, error: ValidationError, content: Mapping[str, Any]) -> None:
        self.errors = field_errors(error.errors(include_url=False), content, AuditRequest)
        super().__init__("invalid_request", "The options make no valid request; see `--help`.")

    @property
    def problem(self) -> Problem:
        return super().problem.model_copy(update={"errors": self.errors})


@dataclass(frozen=True)
class AuditOptions:
    """What the command line says; None where it says nothing."""

    request: Path | None = None
    model: str | None = None
    train: Sequence[str] | None = None
    validation: Sequence[str] | None = None
    label: str | None = None
    features: str | None = None
    task: str | None = None
    signature: str | None = None
    history: str | None = None
    reported: Sequence[str] | None = None
    classes: str | None = None
    threshold: float | None = None
    fail_on: str | None = None
    device: str | None = None
    tags: Sequence[str] = field(default_factory=list)


def request_from(options: AuditOptions) -> AuditRequest:
    """The request: the file's, where one is named, with the options laid over it.

    Raises:
        RequestError: the file cannot be read, an option cannot be understood, or fields are invalid.
    """
    content = _read(options.request) if options.request else {}
    for path, value in _said(options).items():
        _put(content, path.split("."), value)
    try:
        return AuditRequest.model_validate(content)
    except ValidationError as error:
        raise InvalidOptionsError(error, content) from None


def _read(file: Path) -> dict[str, Any]:
    """The request in a file; relative addresses in it start at its folder."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError("request_unreadable", f"{file} holds no JSON request: {error}.", file=str(file)) from None
    if not isinstance(content, dict):
        raise RequestError("request_unreadable", f"{file} must hold a JSON object.", file=str(file))
    return {
        name: _absolute_uris(value, file.parent) if name in {"model", "data", "history"} else value
        for name, value in content.items()
    }


def _absolute_uris(value: Any, folder: Path) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: absolute(item, folder) if name in {"uri", "label_uri"} else _absolute_uris(item, folder)
        for name, item in value.items()
    }


def absolute(address: Any, folder: Path) -> Any:
    """A path (or each of a list) as seen from `folder`; addresses with a scheme stay as they are."""
    if isinstance(address, list):
        return [absolute(item, folder) for item in address]
    if not isinstance(address, str) or _SCHEME.match(address):
        return address
    return os.path.normpath(folder.absolute() / Path(address).expanduser())


def _said(options: AuditOptions) -> dict[str, Any]:
    """Request field -> value, for the options that were given."""
    here = Path.cwd()
    fields = {
        "model.uri": absolute(options.model, here),
        "model.signature": options.signature,
        "data.train.uri": _one_or_many(absolute(list(options.train or ()), here)),
        "data.validation.uri": _one_or_many(absolute(list(options.validation or ()), here)),
        "data.label": options.label,
        "data.features": _names(options.features),
        "task": options.task,
        "history.uri": absolute(options.history, here),
        "reported_metrics": [_reported(text) for text in options.reported or ()] or None,
        "output.classes": _classes(options.classes),
        "output.threshold": options.threshold,
        "gate.fail_on": options.fail_on,
        "resources.device": options.device,
        "tags": dict(_tag(text) for text in options.tags) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _put(content: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for parent in parents:
        if not isinstance(content.get(parent), dict):
            content[parent] = {}
        content = content[parent]
    content[last] = value


def _one_or_many(values: list[str]) -> str | list[str] | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _classes(text: str | None) -> Sequence[str | int] | None:
    """Class labels; whole numbers only where all of them are."""
    names = _names(text)
    if names is None:
        return None
    try:
        return [int(name) for name in names]
    except ValueError:
        return names


def _reported(text: str) -> dict[str, Any]:
    """``accuracy=0.93`` or ``accuracy``."""
    name, equals, value = text.partition("=")
    try:
        return {"name": name.strip(), "value": float(value) if equals else None}
    except ValueError:
        raise RequestError(
            "reported_unreadable", f"--reported {text}: write a metric, or metric=number.", field="reported_metrics"
        ) from None


def _tag(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise RequestError("tag_unreadable", f"--tag {text}: write key:value.", field="tags")
    return key, value
