"""A request from the words that a program has for it: paths, names, or whole objects of the API."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import ValidationError

from audits.naming import suggestion
from schemas.data import DataReference
from schemas.problem import FieldError
from schemas.request import (
    AuditRequest,
    Callback,
    Checks,
    History,
    ModelReference,
    Output,
    ReportedMetric,
    Resources,
)
from service.client.errors import InvalidRequestError
from service.validation import field_errors

Address = str | PathLike[str]
Column = str | int


class RequestFields(TypedDict, total=False):
    """The fields of a request by name; those of `data` stand beside the others.

    An address is a string, as the service sees it, or a `pathlib.Path` on this machine. Objects of the API are given as
    dictionaries or as their types in `fitcheck.models`.
    """

    model: Address | ModelReference | Mapping[str, Any]
    train: Address | Sequence[Address] | DataReference | Mapping[str, Any]
    validation: Address | Sequence[Address] | DataReference | Mapping[str, Any]
    label: Column | Sequence[Column] | None
    features: Sequence[Column] | None
    exclude: Sequence[Column]
    weight: Column | None
    id: Column | None
    group: Column | None
    time: Column | None
    task: Literal["auto", "binary", "multiclass", "regression"]
    output: Output | Mapping[str, Any]
    reported_metrics: Sequence[str | ReportedMetric | Mapping[str, Any]]
    history: Address | History | Mapping[str, Any] | None
    checks: Checks | Mapping[str, Any]
    fail_on: Literal["critical", "warning", "never"]
    resources: Resources | Mapping[str, Any]
    priority: int
    tags: Mapping[str, str]
    callback: str | Callback | Mapping[str, Any] | None


ADDRESSES = ("model", "train", "validation", "history")
OF_DATA = ("train", "validation", "label", "features", "exclude", "weight", "id", "group", "time")


def request_of(request: AuditRequest | Mapping[str, Any] | None, fields: RequestFields) -> AuditRequest:
    """The request, with the fields that are given laid over it.

    Raises:
        InvalidRequestError: it is no valid request.
        TypeError: there is no such field.
    """
    unknown = set(fields) - RequestFields.__optional_keys__
    if unknown:
        raise TypeError(_unknown(unknown))
    content = _content(request)
    data = dict(content.get("data") or {})
    for name, value in fields.items():
        said = _address(name, value) if name in ADDRESSES else _plain(value)
        if name in OF_DATA:
            data[name] = said
        elif name == "fail_on":
            content["gate"] = {"fail_on": said}
        else:
            content[name] = {"url": said} if name == "callback" and isinstance(said, str) else said
    content |= {"data": data}
    try:
        return AuditRequest.model_validate(content)
    except ValidationError as error:
        raise InvalidRequestError(field_errors(error.errors(include_url=False), content, AuditRequest)) from None


def _unknown(names: Iterable[str]) -> str:
    known = sorted(RequestFields.__optional_keys__)
    told = " ".join(f"A request has no field {name!r}.{suggestion(name, known)}" for name in sorted(names))
    return f"{told} Its fields are {', '.join(known)}."


def _content(request: AuditRequest | Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(request, AuditRequest):
        return request.model_dump(mode="json", exclude_unset=True)
    return dict(request or {})


def _address(name: str, value: Any) -> Any:
    """``"a.csv"`` as ``{"uri": "a.csv"}``.

    Raises:
        InvalidRequestError: these are data in memory, or a model, and no address of them.
    """
    if not (value is None or isinstance(value, str | PathLike | Sequence | Mapping) or hasattr(value, "model_dump")):
        raise InvalidRequestError([FieldError(field=name, detail=_to_write(value))])
    if isinstance(value, str | PathLike):
        return {"uri": _uri(value)}
    if isinstance(value, Sequence):
        return {"uri": [_uri(item) for item in value]}
    return _plain(value)


def _to_write(value: Any) -> str:
    how = ', as `frame.to_parquet("data.parquet")` does' if hasattr(value, "to_parquet") else ""
    return f"Give an address, not a {type(value).__name__}: write it to a file{how}, and give its path."


def _uri(value: Address) -> str:
    return value if isinstance(value, str) else str(Path(value).absolute())


def _plain(value: Any) -> Any:
    """Models of pydantic as the dictionaries that they were made from, so that unset fields stay unset."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
