"""The form of an audit request: its fields, what was typed into them, and the problems at each.

A field is named by its path in the request, so that a problem that names a request field finds its place in the form.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pydantic import ValidationError

from schemas.problem import FieldError, Problem, RequestError
from schemas.request import AuditRequest, RequestedKind
from service.texts import classes, column, columns, label, names, reported, tag
from service.validation import field_errors

Kind = Literal["text", "lines", "choice"]
SPLITS = ("train", "validation")
YES_OR_NO = {"true": True, "false": False}


@dataclass(frozen=True)
class Field:
    """One field of the form.

    Attributes:
        name: the path of the request field; `*` stands for both splits.
        label: what people call it.
        hint: what to write.
        kind: how it is entered.
        choices: what may be chosen; the first is the default, and is not sent.
        read: the request's value from the text.
        takes_file: whether a file of the reader's may stand for the address.
    """

    name: str
    label: str
    hint: str = ""
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    read: Callable[[str], Any] = str
    takes_file: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """The request fields that it fills."""
        return tuple(self.name.replace("*", split) for split in SPLITS) if "*" in self.name else (self.name,)

    def holds(self, path: str) -> bool:
        """Whether a problem at this request field lies here."""
        return any(_within(path, target) or _within(target, path) for target in self.targets)


@dataclass(frozen=True)
class Group:
    """Fields that are shown together."""

    id: str
    title: str
    fields: tuple[Field, ...]


@dataclass
class Filled:
    """What was typed, and what is wrong with it.

    Attributes:
        texts: field -> its text.
        errors: field -> what is wrong with it.
        others: what is wrong and lies in no field.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def blame(self, path: str | None, detail: str) -> None:
        """Put a problem where it belongs."""
        place = next((one.name for one in FIELDS if path and one.holds(path)), None)
        told = self.others if place is None else self.errors.setdefault(place, [])
        if detail not in told:
            told.append(detail)

    def add(self, problem: Problem) -> None:
        """Every part of a problem, where it belongs."""
        if problem.errors:
            for error in problem.errors:
                self.blame(error.field, error.detail)
        else:
            self.blame(problem.field, f"{problem.detail}{_place(problem)}")


def _place(problem: Problem) -> str:
    places = {"file": problem.file, "row": problem.row, "column": problem.column, "op": problem.op}
    told = ", ".join(f"{name} {value}" for name, value in places.items() if value is not None)
    return f" ({told})" if told else ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _addresses(text: str) -> str | list[str]:
    lines = _lines(text)
    return lines[0] if len(lines) == 1 else lines


def _labels(text: str) -> Any:
    """One column, or one a line: the one-hot ones."""
    return label(_lines(text))


def _tags(text: str) -> dict[str, str]:
    return dict(tag(line) for line in _lines(text))


def _metrics(text: str) -> list[dict[str, Any]]:
    return [reported(line) for line in _lines(text)]


def _number(text: str) -> Any:
    """A number; other text as it is, to be refused with the field's own words."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _limits(text: str) -> dict[str, Any]:
    """``check.limit=value``, one a line."""
    found: dict[str, Any] = {}
    for line in _lines(text):
        name, equals, value = line.partition("=")
        check, dot, limit = name.strip().rpartition(".")
        if not (equals and dot and check and limit):
            raise RequestError("limit_unreadable", f"{line}: write check.limit=value, as the catalogue lists them.")
        found.setdefault(check, {})[limit] = _number(value.strip())
    return found


MAIN = Group(
    "main",
    "What to audit",
    (
        Field(
            "model.uri",
            "Model",
            "A SavedModel, a .keras or .h5 file, or an archive of one; as the service sees it.",
            takes_file=True,
        ),
        Field(
            "data.train.uri",
            "Training data",
            "A file, a folder or a glob; several, one a line.",
            "lines",
            (),
            _addresses,
            takes_file=True,
        ),
        Field(
            "data.validation.uri",
            "Validation data",
            "On which the model disappoints. Likewise.",
            "lines",
            (),
            _addresses,
            takes_file=True,
        ),
        Field(
            "data.label",
            "Label column",
            "A name, or pos:0 for the first column. Not needed for folders of images.",
            "text",
            (),
            _labels,
        ),
        Field("task", "Task", "", "choice", ("auto", "binary", "multiclass", "regression")),
    ),
)
GROUPS = (
    Group(
        "columns",
        "Columns",
        (
            Field(
                "data.features",
                "Features",
                "In the model's order: a, b, re:^sensor_. Default: all others.",
                read=columns,
            ),
            Field("data.exclude", "No features", "Columns to leave out.", read=columns),
            Field("data.id", "Identifies a row", "A column.", read=column),
            Field("data.group", "Groups dependent rows", "Such as patient or user.", read=column),
            Field("data.time", "Time stamps", "A column.", read=column),
            Field("data.weight", "Row weights", "A column.", read=column),
        ),
    ),
    Group(
        "files",
        "How the files are written",
        (
            Field(
                "data.train.label_uri",
                "Training labels",
                "Where they lie in files of their own.",
                "lines",
                (),
                _addresses,
                takes_file=True,
            ),
            Field(
                "data.validation.label_uri", "Validation labels", "Likewise.", "lines", (), _addresses, takes_file=True
            ),
            Field(
                "data.*.csv.delimiter",
                "CSV delimiter",
                "One character, or whitespace.",
                read=lambda text: {"\\t": "\t"}.get(text, text),
            ),
            Field(
                "data.*.csv.header",
                "CSV has a header",
                "",
                "choice",
                ("", "true", "false"),
                lambda text: YES_OR_NO.get(text, text),
            ),
            Field("data.*.csv.decimal", "CSV decimal sign", "", "choice", ("", ".", ",")),
            Field("data.*.csv.encoding", "CSV encoding", "Such as cp1252."),
            Field("data.*.key", "HDF5 group", "The group or table to read."),
        ),
    ),
    Group(
        "output",
        "The model's answers",
        (
            Field("model.signature", "Signature", "Default: serving_default."),
            Field("model.tags", "Tags of the graph", "Default: serve.", read=names),
            Field("output.kind", "What the numbers mean", "", "choice", get_args(RequestedKind)),
            Field("output.classes", "Classes", "Labels in the order of the model's outputs: cat, dog.", read=classes),
            Field(
                "output.threshold", "Threshold", "Positive at or above this probability. Default: 0.5.", read=_number
            ),
            Field("output.tensor", "Output", "The one to judge, of several."),
            Field("output.index", "Value", "The one to judge, of several a row; from 0.", read=_number),
            Field("output.step", "Step", "The one to judge; -1 is the last.", read=_number),
        ),
    ),
    Group(
        "reported",
        "What was reported of the model",
        (
            Field(
                "reported_metrics",
                "Metrics",
                "One a line: accuracy, accuracy=0.93 or train:accuracy=0.99.",
                "lines",
                (),
                _metrics,
            ),
            Field(
                "history.uri",
                "Training history",
                "History.history as JSON, a CSVLogger file, or a TensorBoard log folder.",
                takes_file=True,
            ),
        ),
    ),
    Group(
        "checks",
        "Checks",
        (
            Field("checks.include", "Run these alone", "Codes or families, one a line: metrics.*", "lines", (), _lines),
            Field("checks.exclude", "Never run these", "Likewise.", "lines", (), _lines),
            Field("checks.limits", "Limits", "One a line: overfitting.underfitting.min_rows=50", "lines", (), _limits),
            Field(
                "gate.fail_on",
                "Gate",
                "The severity from which a pipeline stops.",
                "choice",
                ("critical", "warning", "never"),
            ),
        ),
    ),
    Group(
        "running",
        "Where and how it runs",
        (
            Field("tags", "Tags", "To find it by, one a line: team:growth", "lines", (), _tags),
            Field("priority", "Priority", "-49 to 49; higher runs earlier. Default: 0.", read=_number),
            Field("resources.device", "Device", "", "choice", ("auto", "cpu", "gpu")),
            Field("resources.queue", "Queue", "Class of hardware, as the operator named it."),
            Field("resources.engine", "Engine", "", "choice", ("local", "ray")),
            Field("resources.max_rows", "Rows", "Read at most so many of each split. Default: all.", read=_number),
            Field("resources.timeout_seconds", "Time limit", "Seconds. Default: 3600.", read=_number),
            Field("callback.url", "Webhook", "Is told when the audit ends."),
        ),
    ),
)
FIELDS = tuple(one for group in (MAIN, *GROUPS) for one in group.fields)


def request_in(filled: Filled) -> AuditRequest | None:
    """The request that was typed; None where it is none, and `filled` then says why at each field."""
    content: dict[str, Any] = {"model": {}, "data": {split: {} for split in SPLITS}}
    for path, value in _said(filled):
        _put(content, path.split("."), value)
    try:
        request = AuditRequest.model_validate(content)
    except ValidationError as error:
        for one in _errors(error, content):
            filled.blame(one.field, one.detail)
        return None
    return None if filled.errors else request


def _errors(error: ValidationError, content: Mapping[str, Any]) -> Sequence[FieldError]:
    return field_errors(error.errors(include_url=False), content, AuditRequest)


def _said(filled: Filled) -> Iterator[tuple[str, Any]]:
    for one in FIELDS:
        text = filled.texts.get(one.name, "").strip()
        if not text or (one.choices and text == one.choices[0]):
            continue
        try:
            value = one.read(text)
        except RequestError as error:
            filled.errors.setdefault(one.name, []).append(error.detail)
            continue
        for target in one.targets:
            yield target, value


def _put(content: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for parent in parents:
        content = content.setdefault(parent, {})
    content[last] = value


def _within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")
