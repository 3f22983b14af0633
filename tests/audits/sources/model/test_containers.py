"""What lies at a model's address is told by its content."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from audits.sources.model import containers
from audits.sources.model.containers import locate
from audits.sources.model.opening import look_at_model
from schemas.problem import ModelError

EXAMPLE = Path(__file__).parents[4] / "examples" / "wrong_scaling" / "model"


def refused(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        locate(path)
    assert caught.value.field == "model.uri"
    return caught.value


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "model"))


def keras_file(path: Path, config: dict | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("config.json", json.dumps(config or {}))
        opened.writestr("model.weights.h5", "")
    return path


def test_a_saved_model(model: Path) -> None:
    assert locate(model) == containers.Container("saved_model", model)


def test_the_protobuf_itself_may_be_named(model: Path) -> None:
    assert locate(model / "saved_model.pb").path == model


def test_the_newest_version_is_taken(model: Path) -> None:
    versions = model.parent / "versions"
    for name in ("2", "10", "9"):
        shutil.copytree(model, versions / name)
    (versions / "11").mkdir()
    found = locate(versions)

    assert found.path == versions / "10"
    assert found.note == "version 10, the newest of '2', '9', '10'"


def test_a_version_may_be_named(model: Path) -> None:
    for name in ("2", "10"):
        shutil.copytree(model, model.parent / "versions" / name)

    assert locate(model.parent / "versions" / "2").path.name == "2"


@pytest.mark.parametrize("within", ["export", "export/best", "export/best/1550000000"])
def test_the_only_model_below_a_folder(model: Path, within: str) -> None:
    place = model.parent / "run" / within
    shutil.copytree(model, place)
    (model.parent / "run" / ".hidden").mkdir()
    found = locate(model.parent / "run")

    assert found.path == place
    assert place.name in (found.note or "")


def test_several_models_below_a_folder(model: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(model, model.parent / "run" / name)
    problem = refused(model.parent / "run")

    assert problem.code == "model_ambiguous"
    assert "'first', 'second'" in problem.detail


@pytest.mark.parametrize("name", ["model.keras", "model.zip", "model"])
def test_a_keras_file_by_any_name(tmp_path: Path, name: str) -> None:
    assert locate(keras_file(tmp_path / name)).kind == "keras"


def test_nothing_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "nope").code == "model_not_found"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.keras")

    assert refused(tmp_path / "model.keras").code == "not_a_saved_model"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m.h5", "the suffix is .h5"),
        ("m.keras", "the suffix is .keras"),
        ("m.tflite", "Lite"),
        ("m.zip", "the suffix is .zip"),
        ("frozen.pb", "single graph"),
        ("model.ckpt-1.meta", "checkpoint"),
        ("m.bin", "a file, not a folder"),
        ("empty/", "empty"),
        ("text/saved_model.pbtxt", "pbtxt"),
        ("other/notes.txt", "'notes.txt'"),
        ("weights/m.weights.h5", "weights without a model"),
        ("run/model.ckpt-1.index", "checkpoint"),
    ],
)
def test_what_is_no_model(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    problem = refused(tmp_path / Path(name).parts[0])

    assert problem.code == "not_a_saved_model"
    assert said in problem.detail


class TestWhatTheApiLooksAt:
    """It neither unpacks nor runs anything."""

    def look(self, path: Path):
        return look_at_model(path, signature=None, tags=None)

    def test_a_saved_model_is_described(self, model: Path) -> None:
        assert self.look(model).signature == "serving_default"

    def test_a_keras_file_has_to_wait(self, tmp_path: Path) -> None:
        assert self.look(keras_file(tmp_path / "m.keras")) is None

    def test_a_keras_file_with_code_is_refused_at_once(self, tmp_path: Path) -> None:
        layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "doubling"}}
        with pytest.raises(ModelError, match="'doubling'") as caught:
            self.look(keras_file(tmp_path / "m.keras", {"config": {"layers": [layer]}}))

        assert caught.value.code == "keras_custom_code"

    @pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
    def test_a_configuration_that_is_damaged(self, tmp_path: Path, text: str) -> None:
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as opened:
            opened.writestr("config.json", text)
            opened.writestr("model.weights.h5", "")
        with pytest.raises(ModelError) as caught:
            self.look(tmp_path / "m.keras")

        assert caught.value.code == "model_malformed"

    def test_an_archive_with_a_name_that_leads_out_is_refused_at_once(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "m.zip", "w") as opened:
            opened.writestr("../evil", "")
        with pytest.raises(ModelError) as caught:
            self.look(tmp_path / "m.zip")

        assert caught.value.code == "archive_unsafe"
