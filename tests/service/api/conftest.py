"""A client of the application whose every answer is held against the OpenAPI document."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import jsonschema
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from service.access.store import Keys
from service.api.app import create_app
from service.jobs.database import connect, migrate
from service.settings import Settings
from service.uploads.store import Uploads
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
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, to be copied: a migration takes a second."""
    settings = Settings(state_dir=tmp_path_factory.mktemp("migrated"))
    engine = connect(settings)
    migrate(settings, engine)
    engine.dispose()
    return Path(str(settings.database_url.database))


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    """An empty database of uploads and access keys, beside which uploads lie."""
    return Path(shutil.copy(migrated, tmp_path))


@pytest.fixture
def engine(database: Path) -> Iterator[sa.Engine]:
    opened = connect(Settings(state_dir=database.parent))
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def document() -> dict:
    """The OpenAPI document; no setting changes it."""
    return create_app(Settings(), FakeJobs()).openapi()


@pytest.fixture
def client_of(
    jobs: FakeJobs, document: dict, database: Path, engine: sa.Engine
) -> Iterator[Callable[..., httpx.Client]]:
    """Makes clients of an application with the settings given."""
    clients = []

    def make(**settings: object) -> httpx.Client:
        chosen = Settings(**{"data_roots": (EXAMPLES,), "state_dir": database.parent, **settings})
        app = create_app(chosen, jobs, uploads=Uploads(chosen, engine), keys=Keys(engine))
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
    if "content" not in answer:
        assert not response.content
        return
    media_type = response.headers["Content-Type"].split(";")[0]
    content = answer["content"][media_type]
    if not response.content:
        return
    if "itemSchema" in content:
        for event in _events(response.text):
            _validate(event, content["itemSchema"], document)
            _validate(json.loads(event["data"]), content["itemSchema"]["properties"]["data"]["contentSchema"], document)
        return
    _validate(response.json() if "json" in media_type else response.text, content["schema"], document)


def _validate(read: object, schema: dict, document: dict) -> None:
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(read)


def _events(stream: str) -> list[dict]:
    """The server-sent events, without those that only say when to come back."""
    events = [dict(re.findall(r"^(\w+): (.*)$", block, re.MULTILINE)) for block in stream.split("\n\n")]
    return [event for event in events if "data" in event]
