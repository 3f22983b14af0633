"""No layer of Keras is taken for hostile."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from audits.sources.graph.permitted import require_permitted
from audits.sources.graph.saved_model import parse
from tests.zoo.conftest import ROOT


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    command = [sys.executable, "-m", "tests.zoo.make_layers", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    return folder


@pytest.mark.tensorflow
@pytest.mark.timeout(600)
def test_the_graph_of_every_layer_is_permitted(layers: Path) -> None:
    told = json.loads((layers / "layers.json").read_text())
    (meta_graph,) = parse(layers).meta_graphs

    assert told["failed"] == {}  # or the list says less than it seems to
    assert len(told["made"]) > 140
    assert len(meta_graph.graph.library.functions) > 2 * len(told["made"])
    require_permitted(meta_graph)
