"""Folders of images from the command line to the diagnosis, with a real model."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audits import preflight
from audits.artefacts import Array
from audits.sources import Roots
from schemas.request import AuditRequest

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]
SIDE = 8
ROOT = Path(__file__).parents[2]


def write(folder: Path, n: int, seed: int, change: Callable[[Array], Array]) -> None:
    """Light from above; a bright spot in the left or in the right half tells the classes apart."""
    rng = np.random.default_rng(seed)
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            image = np.repeat(np.linspace(200, 40, SIDE)[:, None, None], SIDE, axis=1) * np.ones(3)
            half = slice(0, SIDE // 2) if name == "left" else slice(SIDE // 2, SIDE)
            image[:, half] += 40
            noisy = np.clip(image + rng.normal(0, 15, image.shape), 0, 255).astype(np.uint8)
            Image.fromarray(change(noisy)).save(folder / name / f"{i:03d}.png")


@pytest.fixture
def request_body(saved_models: Path, tmp_path: Path) -> dict[str, object]:
    write(tmp_path / "train", 80, 0, lambda x: x)
    write(tmp_path / "validation", 50, 1, lambda x: np.ascontiguousarray(np.rot90(x)))
    return {
        "model": {"uri": str(saved_models / "right_half")},
        "data": {"train": {"uri": str(tmp_path / "train")}, "validation": {"uri": str(tmp_path / "validation")}},
    }


def test_images_that_were_turned_are_found(request_body: dict[str, object], saved_models: Path, tmp_path: Path):
    preflight.check(AuditRequest.model_validate(request_body), Roots((tmp_path, saved_models)))
    report = tmp_path / "report.json"
    (tmp_path / "request.json").write_text(json.dumps(request_body))
    command = [sys.executable, "-m", "service", "audit", "--request", tmp_path / "request.json", "--output", report]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280, cwd=ROOT)

    assert done.returncode == 1
    assert "FAIL" in done.stdout, done.stderr
    told = json.loads(report.read_text())
    assert [cause["code"] for cause in told["diagnosis"]] == ["preprocessing.image_geometry"]
    assert told["diagnosis"][0]["confirmation"]["intervention"] == (
        "turn the validation images by 90 degrees clockwise"
    )
    assert told["diagnosis"][0]["confirmation"]["after"] > 0.95
    assert told["data"]["train"]["classes"] == {"left": 80, "right": 80}
