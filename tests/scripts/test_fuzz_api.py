"""Generated requests: they name what is there, and a wrong answer is a failure."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import jsonschema
import pytest

from scripts import fuzz_api
from scripts.fuzz_api import There
from tests.serving import serving

ROOT = Path(__file__).parents[2]
THERE = There(["audit-1", "audit-2"], ["upload-1"])


@pytest.fixture(scope="module")
def document() -> dict:
    return json.loads((ROOT / "docs/openapi.json").read_text())


@pytest.fixture(scope="module")
def known(document) -> dict:
    return fuzz_api.with_known(document, THERE)


def ids_of(document: dict, path: str) -> list[str]:
    (operation, *_) = document["paths"][path].values()
    (schema,) = [parameter["schema"] for parameter in operation["parameters"] if parameter["name"] == "id"]
    return schema["anyOf"][0]["enum"]


def test_ids_are_of_what_is_there(known):
    assert ids_of(known, "/v1/audits/{id}/report") == THERE.audits
    assert ids_of(known, "/v1/uploads/{id}") == THERE.uploads


def test_other_ids_are_tried_too(known, document):
    (operation, *_) = known["paths"]["/v1/audits/{id}"].values()

    assert operation["parameters"][0]["schema"]["anyOf"][1]["type"] == "string"
    assert document["paths"]["/v1/audits/{id}"]["get"]["parameters"][0]["schema"].get("anyOf") is None


def test_the_request_of_the_document_is_one_that_is_accepted(known):
    (content,) = known["paths"]["/v1/audits"]["post"]["requestBody"]["content"].values()
    (example,) = content["examples"].values()
    schema = {"$ref": "#/components/schemas/AuditRequest", "components": known["components"]}

    jsonschema.Draft202012Validator(schema).validate(example["value"])
    assert Path(example["value"]["model"]["uri"]).is_dir()


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A service that answers everything alike; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        yield address


@pytest.mark.long
@pytest.mark.parametrize(("status", "is_right"), [(200, True), (202, False), (500, False)])
def test_an_answer_that_the_document_does_not_say_is_a_failure(tmp_path, status, is_right):
    """Also one that the document says, and that is a fault all the same."""
    answers = {str(code): {"description": "", "content": {"application/json": {"schema": {}}}} for code in (200, 500)}
    document = tmp_path / "openapi.json"
    document.write_text(
        json.dumps(
            {
                "openapi": "3.1.0",
                "info": {"title": "x", "version": "1"},
                "paths": {"/things": {"get": {"responses": answers}}},
            }
        )
    )
    document.with_suffix(".toml").write_text(fuzz_api.CONFIGURATION)
    with answering(status) as address:
        command = fuzz_api.command(address, document, "key", 1, ["--phases", "fuzzing", "--max-examples", "3"])
        code = subprocess.run(command, check=False, cwd=tmp_path, stdout=sys.stderr).returncode

    assert (code == 0) is is_right
