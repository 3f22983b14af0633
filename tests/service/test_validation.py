"""What a client is told about an invalid field."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.request import AuditRequest
from service.validation import field_errors

VALID = {"model": {"uri": "m"}, "data": {"train": {"uri": "a"}, "validation": {"uri": "b"}, "label": "y"}}


def told(change: Mapping[str, Any]) -> dict[str, str]:
    content = {**VALID, **change}
    with pytest.raises(ValidationError) as caught:
        AuditRequest.model_validate(content)
    errors = field_errors(caught.value.errors(include_url=False), content, AuditRequest)
    return {error.field: error.detail for error in errors}


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"model": "model"}, "model", 'Give an object: {"uri": "model"}.'),
        ({"callback": "https://a"}, "callback", 'Give an object: {"url": "https://a"}.'),
        ({"model": 3}, "model", "Give an object with the fields uri, signature, tags."),
        ({"data": VALID["data"] | {"train": "a.csv"}}, "data.train", 'Give an object: {"uri": "a.csv"}.'),
        ({"data": VALID["data"] | {"label": 7.5}}, "data.label", "Give a text, a whole number or a list."),
        ({"data": VALID["data"] | {"features": "a"}}, "data.features", "Give a list."),
        ({"priority": 1.5}, "priority", "Give a whole number."),
        ({"output": {"threshold": 2}}, "output.threshold", "Must be less than or equal to 1."),
        ({"task": "guess"}, "task", "Must be 'auto', 'binary', 'multiclass' or 'regression'."),
        ({"taks": "auto"}, "taks", "Unknown field; known here: model, data, task"),
    ],
)
def test_it_says_what_to_give(change: Mapping[str, Any], field: str, detail: str) -> None:
    (found,) = told(change).items()

    assert found[0] == field
    assert found[1].startswith(detail)


def test_a_long_text_is_not_sent_back() -> None:
    assert "aaaa" not in told({"model": "a" * 1000})["model"]
