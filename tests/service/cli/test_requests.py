"""Options and request files become the request of the API."""

import json
from pathlib import Path

import pytest

from schemas.problem import RequestError
from service.cli.requests import AuditOptions, InvalidOptionsError, request_from

LEAST = {"model": "/m", "train": ["/t.csv"], "validation": ["/v.csv"]}


def test_every_option_reaches_its_field():
    request = request_from(
        AuditOptions(
            **LEAST,
            label="y",
            features="a, b",
            task="binary",
            signature="s",
            history="/h.json",
            reported=["accuracy=0.93", "f1"],
            classes="no,yes",
            threshold=0.3,
            fail_on="warning",
            device="cpu",
            tags=["team:growth:eu"],
        )
    )

    assert request.model_dump(exclude_unset=True) == {
        "model": {"uri": "/m", "signature": "s"},
        "data": {"train": {"uri": "/t.csv"}, "validation": {"uri": "/v.csv"}, "label": "y", "features": ["a", "b"]},
        "task": "binary",
        "history": {"uri": "/h.json"},
        "reported_metrics": [{"name": "accuracy", "value": 0.93}, {"name": "f1", "value": None}],
        "output": {"classes": ["no", "yes"], "threshold": 0.3},
        "gate": {"fail_on": "warning"},
        "resources": {"device": "cpu"},
        "tags": {"team": "growth:eu"},
    }


def test_what_is_not_said_keeps_the_defaults_of_the_api():
    assert request_from(AuditOptions(**LEAST)).model_dump(exclude_unset=True).keys() == {"model", "data"}


def test_paths_are_seen_from_here_and_addresses_stay(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    options = AuditOptions(model="m", train=["a/*.csv", "b.csv"], validation=["file:///v.csv"], history="s3://b/h.json")
    request = request_from(options)

    assert request.model.uri == str(tmp_path / "m")
    assert request.data.train.uri == [str(tmp_path / "a/*.csv"), str(tmp_path / "b.csv")]
    assert request.data.validation.uri == "file:///v.csv"
    assert request.history
    assert request.history.uri == "s3://b/h.json"


@pytest.mark.parametrize(("text", "classes"), [("0,1,2", [0, 1, 2]), ("0,1,x", ["0", "1", "x"])])
def test_classes_are_numbers_where_all_of_them_are(text: str, classes: list):
    assert request_from(AuditOptions(**LEAST, classes=text)).output.classes == classes


class TestRequestFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        content = {
            "model": {"uri": "model"},
            "data": {"train": {"uri": ["t1.csv", "/abs/t2.csv"]}, "validation": {"uri": "../v.csv"}, "label": "y"},
            "tags": {"uri": "not-a-path"},
        }
        path = tmp_path / "folder" / "request.json"
        path.parent.mkdir()
        path.write_text(json.dumps(content))
        return path

    def test_its_paths_are_seen_from_its_folder(self, file: Path):
        request = request_from(AuditOptions(request=file))

        assert request.model.uri == str(file.parent / "model")
        assert request.data.train.uri == [str(file.parent / "t1.csv"), "/abs/t2.csv"]
        assert request.data.validation.uri == str(file.parent.parent / "v.csv")
        assert request.tags == {"uri": "not-a-path"}

    def test_options_override_it(self, file: Path):
        request = request_from(AuditOptions(request=file, label="z", train=["/other.csv"]))

        assert (request.data.label, request.data.train.uri) == ("z", "/other.csv")
        assert request.model.uri.endswith("model")

    @pytest.mark.parametrize("content", ["{", "[1]", None])
    def test_one_that_cannot_be_read_is_named(self, tmp_path: Path, content: str | None):
        path = tmp_path / "request.json"
        if content is not None:
            path.write_text(content)

        with pytest.raises(RequestError, match=r"request\.json"):
            request_from(AuditOptions(request=path))


def test_every_invalid_field_is_listed():
    with pytest.raises(InvalidOptionsError) as raised:
        request_from(AuditOptions(model="/m", threshold=2.0))

    assert {e.field for e in raised.value.problem.errors or ()} == {"data", "output.threshold"}


@pytest.mark.parametrize("options", [{"reported": ["accuracy=good"]}, {"tags": ["team"]}])
def test_an_option_that_cannot_be_understood_is_quoted(options: dict):
    with pytest.raises(RequestError, match=r"accuracy=good|team"):
        request_from(AuditOptions(**LEAST, **options))
