"""The audit request: defaults, and what is refused."""

import copy
import math
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.data import MAX_URI_CHARACTERS, DataReference
from schemas.request import MAX_TAGS, AuditRequest


def body(**changes: Any) -> dict[str, Any]:
    """The smallest request, with changes by dotted path."""
    request: dict[str, Any] = {
        "model": {"uri": "model"},
        "data": {"train": {"uri": "t.csv"}, "validation": {"uri": "v.csv"}, "label": "y"},
    }
    request = copy.deepcopy(request)
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = request
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return request


def refusal(**changes: Any) -> dict[str, Any]:
    """The first error of a request that must be refused."""
    with pytest.raises(ValidationError) as refused:
        AuditRequest.model_validate(body(**changes))
    return dict(refused.value.errors()[0])


def test_only_the_model_and_the_data_are_required():
    request = AuditRequest.model_validate(body())

    assert request.task == "auto"
    assert request.output.kind == "auto"
    assert request.output.threshold == 0.5
    assert request.model.tags is None  # none named: the only graph will do
    assert request.checks.include is None
    assert request.gate.fail_on == "critical"
    assert request.resources.timeout_seconds == 3600


def test_the_example_of_the_api_is_accepted():
    request = AuditRequest.model_validate(
        {
            "model": {"uri": "s3://models/churn/7", "signature": None, "tags": ["serve"]},
            "data": {
                "train": {"uri": "s3://data/churn/train/*.parquet"},
                "validation": {"uri": "file:///data/val.csv"},
                "label": "churned",
                "features": None,
                "weight": None,
                "id": None,
                "group": None,
                "time": None,
            },
            "task": "auto",
            "output": {"tensor": None, "kind": "auto", "classes": None, "threshold": 0.5},
            "reported_metrics": ["accuracy", {"name": "roc_auc", "value": 0.93, "split": "validation"}],
            "history": {"uri": "file:///runs/7/history.json"},
            "checks": {"include": None, "exclude": [], "limits": {}},
            "gate": {"fail_on": "critical"},
            "resources": {"device": "auto", "timeout_seconds": 3600, "max_rows": None},
            "priority": 0,
            "tags": {"team": "growth"},
            "callback": {"url": "https://ci.example/hook"},
        }
    )

    assert [metric.name for metric in request.reported_metrics] == ["accuracy", "roc_auc"]
    assert AuditRequest.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    "place", ["typo", "model__typo", "data__typo", "data__train__typo", "output__typo", "checks__typo", "gate__typo"]
)
def test_unknown_fields_are_refused_everywhere(place: str):
    error = refusal(**{place: 1})

    assert error["type"] == "extra_forbidden"
    assert error["loc"] == tuple(place.split("__"))


@pytest.mark.parametrize(
    "change",
    [
        {"task": "ranking"},
        {"output__threshold": 1.1},
        {"output__threshold": math.nan},
        {"output__classes": ["only one"]},
        {"model__uri": ""},
        {"model__uri": "x" * (MAX_URI_CHARACTERS + 1)},
        {"model__tags": []},
        {"data__train__uri": []},
        {"data__train__uri": ["a.csv", ""]},
        {"data__features": []},
        {"reported_metrics": [{"name": "auc", "value": math.inf}]},
        {"reported_metrics": [{"value": 0.5}]},
        {"gate__fail_on": "always"},
        {"resources__timeout_seconds": 0},
        {"resources__max_rows": 0},
        {"resources__device": "tpu"},
        {"priority": 50},
        {"tags": {"": "x"}},
        {"tags": {str(i): "x" for i in range(MAX_TAGS + 1)}},
        {"tags": {"x": "y" * 257}},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(change: dict[str, Any]):
    assert refusal(**change)["loc"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data__group": "y"}, "cannot be both label and group"),
        ({"data__id": "k", "data__time": "k"}, "cannot be both id and time"),
        ({"data__features": ["a", "y"]}, "cannot be both a feature and the label"),
    ],
)
def test_a_column_has_one_role(change: dict[str, Any], words: str):
    assert words in refusal(**change)["msg"]


def test_roles_besides_the_label():
    data = AuditRequest.model_validate(body(data__group="patient", data__id=-1)).data

    assert data.others == {"group": "patient", "id": -1}
    assert (data.name_of("group"), data.name_of("id"), data.name_of("time")) == ("patient", "-1", None)


def test_names_of_columns_keep_their_blanks():
    assert AuditRequest.model_validate(body(data__label=" y ")).data.label == " y "


@pytest.mark.parametrize(
    "data",
    [
        {"label": True},
        {"label": 1.0},
        {"label": ["y"]},
        {"features": ["re:("]},
        {"weight": 3, "group": 3},
        {"train": {"uri": "t.csv", "csv": {"delimiter": ",,"}}},
        {"train": {"uri": "t.csv", "csv": {"encoding": "klingon"}}},
    ],
)
def test_columns_and_dialects_that_mean_nothing(data: dict):
    with pytest.raises(ValidationError):
        AuditRequest.model_validate(body(**{f"data__{name}": value for name, value in data.items()}))


def test_one_address_or_several():
    assert DataReference(uri="a.csv").uris == ["a.csv"]
    assert DataReference(uri=["a.csv", "b.csv"]).uris == ["a.csv", "b.csv"]


def test_blanks_around_texts_do_not_count():
    assert AuditRequest.model_validate(body(model__uri="  model ")).model.uri == "model"
