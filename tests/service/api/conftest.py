"""A client of the application whose every answer is held against the OpenAPI document."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from service.api.app import create_app
from service.settings import Settings
from tests.service.asgi import AsgiTransport
from tests.service.fakes import FakeJobs

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def body() -> dict:
    """A request that the preflight finds nothing wrong with."""
    example = EXAMPLES / "wrong_scaling"
    return {
        "model": {"uri": str(example / "model")},
        "data": {
            "train": {"uri": str(example / "train.csv")},
            "validation": {"uri": str(example / "validation.csv")},
            "label": "benign",
        },
    }


@pytest.fixture(scope="session")
def document() -> dict:
    """The OpenAPI document; no setting changes it."""
    return create_app(Settings(), FakeJobs()).openapi()


@pytest.fixture
def client_of(jobs: FakeJobs, document: dict) -> Iterator[Callable[..., httpx.Client]]:
    """Makes clients of an application with the settings given."""
    clients = []

    def make(**settings: object) -> httpx.Client:
        app = create_app(Settings(data_roots=(EXAMPLES,), **settings), jobs)
        app.openapi_schema = document
        clients.append(DocumentedClient(app))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(client_of) -> httpx.Client:
    return client_of()


class DocumentedClient(httpx.Client):
    """Fails on an answer that the OpenAPI document does not describe."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            transport=AsgiTransport(app),
            base_url="http://fitcheck.test",
            event_hooks={"response": [self._is_documented]},
        )
        self.app = app

    def _is_documented(self, response: httpx.Response) -> None:
        response.read()
        document = self.app.openapi()
        request = response.request
        operation = _operation(document, request.method, request.url.path)
        if operation is None:
            assert request.url.path in {"/", "/docs", "/openapi.json"} or response.status_code in {404, 405}
            return
        answer = operation["responses"].get(str(response.status_code))
        assert answer, f"{request.method} {request.url.path} answers {response.status_code}, undocumented"
        _agrees(response, answer, document)


def _operation(document: dict, method: str, path: str) -> dict | None:
    method = "get" if method == "HEAD" else method.lower()
    for template, operations in document["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return operations.get(method)
    return None


def _agrees(response: httpx.Response, answer: dict, document: dict) -> None:
    for name, header in answer["headers"].items():
        assert not header.get("required") or name in response.headers, f"no {name}"
    if response.status_code == 204:
        assert not response.content
        return
    media_type = response.headers["Content-Type"].split(";")[0]
    content = answer["content"][media_type]
    if response.content:
        schema = {**content["schema"], "components": document["components"]}
        read = response.json() if "json" in media_type else response.text
        jsonschema.Draft202012Validator(schema).validate(read)
