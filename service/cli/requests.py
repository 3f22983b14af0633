"""An audit request from the command line's options, from a file, or from both."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.data import CsvOptions
from schemas.problem import Problem, RequestError
from schemas.request import AuditRequest
from service.cli.options import AuditOptions
from service.texts import classes, column, columns, label, names, reported, tag
from service.validation import field_errors

SPLITS = ("train", "validation")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


class InvalidOptionsError(RequestError):
    """Options or request file do not make a valid request; lists every invalid field."""

    def __init__(self, error: ValidationError, content: Mapping[str, Any]) -> None:
        self.errors = field_errors(error.errors(include_url=False), content, AuditRequest)
        super().__init__("invalid_request", "The options make no valid request; see `--help`.")

    @property
    def problem(self) -> Problem:
        return super().problem.model_copy(update={"errors": self.errors})


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
        "model.tags": names(options.model_tags),
        "data.train.uri": _one_or_many(absolute(list(options.train or ()), here)),
        "data.train.label_uri": _one_or_many(absolute(list(options.train_labels or ()), here)),
        "data.validation.uri": _one_or_many(absolute(list(options.validation or ()), here)),
        "data.validation.label_uri": _one_or_many(absolute(list(options.validation_labels or ()), here)),
        "data.label": label(options.label),
        "data.features": columns(options.features),
        "data.exclude": columns(options.exclude),
        **{f"data.{role}": column(getattr(options, role)) for role in ("weight", "id", "group", "time")},
        "task": options.task,
        "history.uri": absolute(options.history, here),
        "reported_metrics": [reported(text) for text in options.reported or ()] or None,
        "output.tensor": options.output_tensor,
        "output.index": options.output_index,
        "output.step": options.output_step,
        "output.kind": options.output_kind,
        "output.classes": classes(options.classes),
        "output.threshold": options.threshold,
        "checks.include": options.checks or None,
        "checks.exclude": options.skipped or None,
        **_limits(options.limits or ()),
        "gate.fail_on": options.fail_on,
        "resources.device": options.device,
        "resources.queue": options.queue,
        "resources.engine": options.engine,
        "resources.timeout_seconds": options.timeout,
        "resources.max_rows": options.max_rows,
        "priority": options.priority,
        "callback.url": options.callback,
        "tags": dict(tag(text) for text in options.tags or ()) or None,
    }
    for splits, key in map(_of_splits, options.data_key or ()):
        fields |= {f"data.{split}.key": key for split in splits}
    for splits, text in map(_of_splits, options.csv or ()):
        name, value = _csv(text)
        fields |= {f"data.{split}.csv.{name}": value for split in splits}
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


def _of_splits(text: str) -> tuple[Sequence[str], str]:
    """``train:...`` and ``validation:...`` are for one split, all else for both."""
    split, colon, rest = text.partition(":")
    return ((split,), rest) if colon and split in SPLITS else (SPLITS, text)


def _csv(text: str) -> tuple[str, Any]:
    """``header=false``, ``delimiter=;``, as the request's `csv` takes it."""
    name, equals, value = text.partition("=")
    if not equals or name.strip() not in CsvOptions.model_fields:
        raise RequestError(
            "csv_unreadable",
            f"--csv {text}: write one of {', '.join(CsvOptions.model_fields)} and its value, such as header=false.",
            field="data.train.csv",
        )
    return name.strip(), {"true": True, "false": False, "\\t": "\t"}.get(value, value)


def _limits(texts: Sequence[str]) -> dict[str, Any]:
    """``check.limit=value``; the value is JSON, or else text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        check, dot, limit = name.strip().rpartition(".")
        if not (equals and dot and check and limit):
            raise RequestError(
                "limit_unreadable",
                f"--limit {text}: write check.limit=value, as `fitcheck catalogue` lists them.",
                field="checks.limits",
            )
        try:
            found.setdefault(check, {})[limit] = json.loads(value)
        except ValueError:
            found[check][limit] = value
    return {"checks.limits": found} if found else {}
