"""SavedModels as TensorFlow really writes them, made once a run, in a process of their own."""

import os
import subprocess
import sys
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

from audits.models import import_tensorflow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models by name, only to be read; see `tests/audits/make_saved_models.py`.

    They are made elsewhere because a process that has used TensorFlow cannot be forked any more. Of the processes of a
    run the first makes them, and the others wait: it takes the better part of a minute.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "saved_models"
    with (shared / "saved_models.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not folder.exists():
            making = folder.with_suffix(".new")
            making.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "tests.audits.make_saved_models", making]
            made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
            assert made.returncode == 0, made.stderr[-2000:]
            making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """TensorFlow imported and untouched, as in the process that audits are forked from."""
    import_tensorflow()
