"""The examples of docs/access.md, run as they stand against the API, in their order."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "wrong_scaling"
PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
# What an installation puts on the path.
PREAMBLE = f'set -euo pipefail\nfitcheck() {{ "{sys.executable}" -m service "$@"; }}\n'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    port = free_port()
    mine = {
        "FITCHECK_STATE_DIR": str(tmp_path / "state"),
        "FITCHECK_DATA_ROOTS": str(tmp_path / "roots"),
        "FITCHECK_PORT": str(port),
        "FITCHECK_URL": f"http://127.0.0.1:{port}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("FITCHECK_")}, **mine}


@pytest.fixture
def api(environment: dict[str, str], tmp_path: Path) -> Iterator[None]:
    (tmp_path / "roots").mkdir()
    command = [sys.executable, "-m", "service", "api"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, env=environment, stderr=log) as process:
        deadline = time.monotonic() + 90
        while not is_alive(environment["FITCHECK_URL"]):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield
        process.terminate()


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq", "sha256sum", "tar"))), reason="needs curl and jq")
def test_the_examples_run(api: None, environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("train.csv", "validation.csv", "model"):
        source = EXAMPLE / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    script = PREAMBLE + "\n".join(BLOCKS)
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n401\n" in done.stdout
    assert "\nupload_in_use\n" in done.stdout
    assert {"model.tar", "validation.csv", "train.csv"} <= set(done.stdout.split())
    assert "train.csv is there already" in done.stderr
    assert "fitcheck_" not in (tmp_path / "log").read_text()
