"""What the API says, as a person at a terminal would type it."""

from typing import Any, get_args

import pytest
import typer.main
from pydantic import BaseModel

import service.cli
from schemas.problem import FieldError, RequestError
from schemas.request import AuditRequest
from service.cli.words import OPTIONS, in_words_of_the_command_line
from service.jobs.errors import NoReport


def models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_of(part)]


def is_a_field(path: str) -> bool:
    found = [AuditRequest]
    for name in path.split("."):
        fields = [model.model_fields[name] for model in found if name in model.model_fields]
        if not fields:
            return False
        found = [model for field in fields for model in models_of(field.annotation)]
    return True


@pytest.mark.parametrize(("field", "option"), OPTIONS.items())
def test_each_field_has_an_option_that_there_is(field: str, option: str) -> None:
    command = typer.main.get_command(service.cli.app).get_command(None, "submit")  # type: ignore[attr-defined,arg-type]
    known = {name for parameter in command.params for name in parameter.opts}

    assert is_a_field(field)
    assert option in known


def test_a_field_is_named_with_its_option() -> None:
    problem = RequestError("x", "y", field="data.train.csv.header").problem
    problem = problem.model_copy(update={"errors": [FieldError(field="checks.limits.a", detail="z")]})

    said = in_words_of_the_command_line(problem)

    assert said.field == "data.train.csv.header (--csv)"
    assert said.errors is not None
    assert said.errors[0].field == "checks.limits.a (--limit)"


def test_a_failed_audit_says_where_its_problem_is_told() -> None:
    said = in_words_of_the_command_line(NoReport("a-1", "failed").problem)

    assert said.detail == (
        "Audit a-1 has no report: it failed. `fitcheck status ID` says why; submit a new audit when that is mended."
    )
