"""SavedModels as TensorFlow really writes them, made once a session, in a process of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from audits.models import import_tensorflow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models by name; see `tests/audits/make_saved_models.py`.

    They are made elsewhere because a process that has used TensorFlow cannot be forked any more.
    """
    folder = tmp_path_factory.mktemp("saved_models")
    command = [sys.executable, "-m", "tests.audits.make_saved_models", folder]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    return folder


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """TensorFlow imported and untouched, as in the process that audits are forked from."""
    import_tensorflow()
