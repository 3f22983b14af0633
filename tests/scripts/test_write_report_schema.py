"""The published schema of the report."""

import json

import pytest
from jsonschema import Draft202012Validator, ValidationError

from schemas.report import SCHEMA_VERSION
from scripts.write_report_schema import FILE, document
from tests.service.cli.reports import whole_report
from tests.service.pages.hostile import hostile_report


def schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))


def test_the_committed_schema_is_that_of_the_types() -> None:
    """`make schema` brings it up to date."""
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(document())


@pytest.mark.parametrize("make", [whole_report, hostile_report])
def test_reports_are_valid(make) -> None:
    schema().validate(json.loads(make().model_dump_json()))


def test_a_field_of_a_later_version_is_accepted() -> None:
    """Within a major version fields are added, so a reader's copy of the schema must not refuse them."""
    report = json.loads(whole_report().model_dump_json())

    schema().validate({**report, "schema_version": "1.9", "something_new": 1})


def test_a_verdict_that_is_none_is_refused() -> None:
    report = json.loads(whole_report().model_dump_json())

    with pytest.raises(ValidationError):
        schema().validate({**report, "verdict": "maybe"})


def test_the_schema_names_its_version() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8"))["$id"].endswith(f":{SCHEMA_VERSION}")
