"""Names of classes that a model carries."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from audits.artefacts import ModelDescription
from audits.sources import describe_model
from audits.sources.graph.class_lists import class_lists, restored_lists

EXAMPLE = Path(__file__).parents[4] / "examples" / "wrong_scaling" / "model"


@pytest.fixture
def carrying(tmp_path: Path) -> ModelDescription:
    """A model whose folder can be written to."""
    shutil.copytree(EXAMPLE, tmp_path / "model")
    return describe_model(tmp_path / "model")


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("model", "names", "where"),
    [
        ("outputs/names", ("ant", "cat", "bee"), "constant"),
        ("outputs/keras_names", ("ant", "cat", "bee"), "constant"),
        ("asset", ("red", "green"), "colours.txt"),
    ],
)
def test_constants_and_files_of_lines_are_lists(saved_models: Path, model: str, names: tuple[str, ...], where: str):
    found = {named.names: named.where for named in class_lists(describe_model(saved_models / model))}

    assert where in found[names]


@pytest.mark.parametrize("place", ["labels.txt", "assets/kinds.txt", "assets.extra/classes.vocab"])
def test_files_of_lines_are_looked_for_where_exports_put_them(carrying: ModelDescription, place: str):
    path = Path(carrying.path, place)
    path.parent.mkdir(exist_ok=True)
    path.write_text("ant\ncat\nbee\n")

    (found,) = class_lists(carrying)

    assert found.names == ("ant", "cat", "bee")
    assert path.name in found.where


def test_files_that_are_no_lists_are_left_alone(carrying: ModelDescription, tmp_path: Path):
    """Bytes, a single line, repeated lines, and a link out of the folder, which might lead to anyone's file."""
    assets = Path(carrying.path, "assets")
    assets.mkdir(exist_ok=True)
    (assets / "bytes").write_bytes(b"\xff\xfe\n\x00\n")
    (assets / "one").write_text("alone\n")
    (assets / "repeated").write_text("a\na\n")
    (tmp_path / "secret").write_text("user\npassword\n")
    (assets / "link").symlink_to(tmp_path / "secret")

    assert class_lists(carrying) == ()


class Stored:
    """A model whose checkpoint holds what is given."""

    def __init__(self, path: Path, values: dict[str, np.ndarray]) -> None:
        self.description = describe_model(path)
        self._values = values

    def variables(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        return {key: self._values[key.rpartition("/")[2]] for key in keys}


@pytest.mark.tensorflow
@pytest.mark.parametrize("inverted", [False, True])
def test_tables_of_the_checkpoint_are_lists_in_the_order_of_their_numbers(saved_models: Path, inverted: bool):
    """A table gives its entries in any order."""
    texts, numbers = np.array([b"cat", b"ant", b"bee"], dtype=object), np.array([2, 1, 3])
    keys, values = (numbers, texts) if inverted else (texts, numbers)
    model = Stored(saved_models / "restored_table", {"table-keys": keys, "table-values": values})
    (found,) = restored_lists(model)

    assert found.names == ("ant", "cat", "bee")
    assert "lookup table" in found.where


def test_a_model_that_is_gone_has_no_lists(carrying: ModelDescription):
    shutil.rmtree(carrying.path)

    assert class_lists(carrying) == ()
