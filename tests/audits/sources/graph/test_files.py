"""Which files are a model's own."""

import os
from pathlib import Path

import pytest

from audits.sources.graph import files
from audits.sources.graph.files import model_files, require_no_escape
from schemas.problem import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "assets").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    return folder


def code_of(model: Path) -> str:
    with pytest.raises(ModelError) as caught:
        require_no_escape(model)
    return caught.value.code


def test_what_lies_beside_a_model_is_not_its_own(model: Path) -> None:
    (model / "labels.csv").touch()

    assert {path.name for path in model_files(model)} == {
        *("saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets")
    }


@pytest.mark.parametrize("target", [".", ".."])
def test_a_part_that_is_the_whole_folder_is_none(model: Path, target: str) -> None:
    """Or a link named `variables` would open the data beside the model."""
    (model / "variables").symlink_to(target)

    assert "variables" not in {path.name for path in model_files(model)}


def test_pipes_are_no_files(model: Path) -> None:
    os.mkfifo(model / "assets" / "words.txt")

    assert code_of(model) == "model_path_escape"


def test_a_second_graph_is_not_preferred_in_secret(model: Path) -> None:
    require_no_escape(model)
    (model / "saved_model.cpb").touch()

    assert code_of(model) == "model_malformed"


def test_files_without_end(model: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "MAX_MODEL_FILES", 3)
    for place in range(5):
        (model / f"image_{place}").touch()
    require_no_escape(model)
    for place in range(5):
        (model / "assets" / f"{place}").touch()

    assert code_of(model) == "model_too_large"
