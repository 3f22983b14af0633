"""Options and request files become the request of the API."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from schemas.problem import RequestError
from schemas.request import AuditRequest
from service.cli import app
from service.cli.options import AuditOptions, with_request
from service.cli.requests import InvalidOptionsError, request_from

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


EVERY_FIELD = {
    "model": {"uri": "/m", "signature": "s", "tags": ["serve", "gpu"]},
    "data": {
        "train": {"uri": "/t.csv", "label_uri": "/ty.npy", "csv": {"delimiter": ";", "header": False}, "key": "k"},
        "validation": {
            "uri": ["/v.csv", "/w.csv"],
            "label_uri": ["/vy.npy", "/wy.npy"],
            "csv": {"delimiter": ";", "header": False},
            "key": "k",
        },
        "label": ["y0", 3],
        "features": ["a, b", 0, "re:^s{1,2}"],
        "exclude": ["c", -1],
        "weight": 4,
        "id": "row",
        "group": "patient",
        "time": "day",
    },
    "task": "binary",
    "output": {"tensor": "o", "index": 1, "step": -1, "kind": "logit", "classes": ["no", "yes"], "threshold": 0.3},
    "reported_metrics": [{"name": "f1", "value": 0.9, "split": "train"}],
    "history": {"uri": "/h.json"},
    "checks": {"include": ["metrics.*"], "exclude": ["x"], "limits": {"c": {"a": 0.5, "b": "t"}}},
    "gate": {"fail_on": "warning"},
    "resources": {"device": "cpu", "queue": "big", "engine": "ray", "timeout_seconds": 60.0, "max_rows": 10},
    "priority": 3,
    "tags": {"team": "growth"},
    "callback": {"url": "https://example.com"},
}
EVERY_OPTION = (
    "--model /m --signature s --model-tags serve,gpu --train /t.csv --train-label-uri /ty.npy --csv delimiter=; "
    "--csv header=false --data-key k --validation /v.csv --validation /w.csv --validation-label-uri /vy.npy "
    "--validation-label-uri /wy.npy --label y0 --label pos:3 --exclude c,pos:-1 --weight pos:4 --id row "
    "--group patient --time day --task binary --output-tensor o --output-index 1 --output-step -1 --output-kind logit "
    "--classes no,yes --threshold 0.3 --reported train:f1=0.9 --history /h.json --check metrics.* --skip-check x "
    "--limit c.a=0.5 --limit c.b=t --fail-on warning --device cpu --queue big --engine ray --timeout 60 --max-rows 10 "
    "--priority 3 --tag team:growth --callback https://example.com"
)


def leaves(content: dict, path: tuple[str, ...] = ()) -> set[str]:
    """Every field of a request or of its schema."""
    inner = {
        name: value for name, value in content.items() if isinstance(value, dict) and name not in {"tags", "limits"}
    }
    found = {".".join((*path, name)) for name in content if name not in inner}
    return found.union(*(leaves(value, (*path, name)) for name, value in inner.items()))


def test_a_command_line_says_what_a_request_file_says(tmp_path: Path) -> None:
    """Every field has an option, and `submit` sends what POST /v1/audits would take."""
    (tmp_path / "request.json").write_text(json.dumps(EVERY_FIELD))
    of_file = request_from(AuditOptions(request=tmp_path / "request.json"))
    said: list[AuditOptions] = []
    command = typer.Typer()

    @command.command()
    @with_request(queued=True)
    def note(options: AuditOptions) -> None:
        said.append(options)

    words = [*EVERY_OPTION.split(), "--features", '"a, b",pos:0,"re:^s{1,2}"']
    CliRunner().invoke(command, words, catch_exceptions=False)

    assert request_from(said[0]) == of_file
    assert of_file.model_dump(exclude_unset=True) == EVERY_FIELD


def test_how_one_split_is_written() -> None:
    options = AuditOptions(
        model="/m",
        train=["/t.csv"],
        validation=["/v.csv"],
        label=["y"],
        csv=["decimal=,", "train:delimiter=;", "validation:header=false"],
        data_key=["validation:rows"],
    )
    data = request_from(options).data

    assert data.train.csv.model_dump(exclude_unset=True) == {"decimal": ",", "delimiter": ";"}
    assert data.validation.csv.model_dump(exclude_unset=True) == {"decimal": ",", "header": False}
    assert (data.train.key, data.validation.key) == (None, "rows")


def test_the_request_has_no_field_without_an_option() -> None:
    whole = AuditRequest.model_validate(EVERY_FIELD).model_dump()

    # how a file of tabs or commas is written is one option with many values
    assert {name for name in leaves(whole) - leaves(EVERY_FIELD) if ".csv." not in name} == set()


@pytest.mark.parametrize("command", ["audit", "submit"])
def test_the_help_lists_every_option(command: str) -> None:
    """The options of the queue are those of `submit` alone."""
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout

    options = {word for word in EVERY_OPTION.split() if word.startswith("--")}
    queue = {"--queue", "--priority", "--tag", "--callback"}
    assert {option for option in options if f"{option} " in shown} == options - (queue if command == "audit" else set())


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"features": "pos:first"}, "position_unreadable"),
        ({"csv": ["sep=;"]}, "csv_unreadable"),
        ({"limits": ["0.5"]}, "limit_unreadable"),
    ],
)
def test_what_cannot_be_understood_says_how_to_write_it(options: dict, code: str) -> None:
    with pytest.raises(RequestError, match="write") as caught:
        request_from(AuditOptions(**LEAST, **options))
    assert caught.value.code == code


def test_label_files_of_a_request_file_are_seen_from_its_folder(tmp_path: Path) -> None:
    split = {"uri": "x.npy", "label_uri": "y.npy"}
    (tmp_path / "r.json").write_text(json.dumps({"model": {"uri": "m"}, "data": {"train": split, "validation": split}}))

    assert request_from(AuditOptions(request=tmp_path / "r.json")).data.train.label_uri == str(tmp_path / "y.npy")
