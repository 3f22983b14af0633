"""What every model of ours refuses."""

import math

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from schemas import catalogue, job, problem, report, request
from schemas.base import Received, Sent, finite

MODULES = (catalogue, job, problem, report, request)
MODELS = [
    kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_every_model_is_frozen_and_refuses_unknown_fields(kind: type[BaseModel]):
    assert issubclass(kind, Received | Sent)
    assert kind.model_config["extra"] == "forbid"
    assert kind.model_config["frozen"]


def test_there_are_models():
    assert len(MODELS) > 30


class Answer(Sent):
    value: float
    bounds: tuple[float, float] = (0.0, 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_sent_is_never_nan_or_infinite(value: float):
    with pytest.raises(ValidationError):
        Answer(value=value)
    with pytest.raises(ValidationError):
        Answer(value=1.0, bounds=(0.0, value))


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (math.nan, None), (math.inf, None), (2, 2.0), (-0.5, -0.5)]
)
def test_finite_gives_a_number_or_nothing(value: float | None, expected: float | None):
    assert finite(value) == expected


def test_descriptions_are_sentences():
    for kind in MODELS:
        for name, info in kind.model_fields.items():
            assert isinstance(info, FieldInfo)
            assert info.description is None or len(info.description) > 8, f"{kind.__name__}.{name}"
