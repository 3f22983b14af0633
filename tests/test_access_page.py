"""The examples of docs/access.md, run as they stand against the API, in their order."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from service.api.app import create_app
from service.api.protocol import PatientProtocol
from service.settings import Settings

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "wrong_scaling"
PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
# What an installation puts on the path.
PREAMBLE = f'set -euo pipefail\nfitcheck() {{ "{sys.executable}" -m service "$@"; }}\n'


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a shell that works with a service, which runs in a thread of this process."""
    (tmp_path / "roots").mkdir()
    settings = Settings(state_dir=tmp_path / "state", data_roots=(tmp_path / "roots",), log_format="json")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # who comes before the server is up waits
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, http=PatientProtocol))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield {
            **{name: value for name, value in os.environ.items() if not name.startswith("FITCHECK_")},
            **settings.environment(),
            "FITCHECK_URL": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }
        server.should_exit = True
        thread.join()


@pytest.mark.timeout(600)
@pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq", "sha256sum", "tar"))), reason="needs curl and jq")
def test_the_examples_run(environment: dict[str, str], tmp_path: Path, capfd) -> None:
    for name in ("train.csv", "validation.csv", "model"):
        source = EXAMPLE / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    script = PREAMBLE + "\n".join(BLOCKS)
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n401\n" in done.stdout
    assert "\nupload_in_use\n" in done.stdout
    assert {"model.tar", "validation.csv", "train.csv"} <= set(done.stdout.split())
    assert "train.csv is there already" in done.stderr
    assert "fitcheck_" not in "".join(capfd.readouterr())
