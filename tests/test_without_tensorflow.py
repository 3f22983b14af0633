"""The API where TensorFlow is not installed: in an environment of its own, made from the lock file."""

import os
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
ENVIRONMENT = ROOT / ".venv-api"
EXAMPLE = ROOT / "examples" / "wrong_scaling"
START_SECONDS = 60.0


def find_uv() -> str:
    candidates = (os.environ.get("UV"), shutil.which("uv"), ROOT / ".uv/bin/uv", Path(sys.executable).with_name("uv"))
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return str(candidate)
    if "CI" in os.environ:
        pytest.fail("no uv: run `make setup`")
    pytest.skip("no uv: run `make setup`")


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of the environment; making it takes a while once, and nothing when it is there."""
    command = [find_uv(), "sync", "--no-dev", "--frozen", "--python", sys.executable]
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT)}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ENVIRONMENT / "bin" / "python"


@pytest.fixture(scope="module")
def api(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of `fitcheck api` in that environment."""
    state = tmp_path_factory.mktemp("state")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python.with_name("fitcheck"), "api", "--port", str(port), "--data-root", ROOT, "--state-dir", state]
    with (state / "log").open("w") as log, subprocess.Popen(command, cwd=state, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_until_alive(client, process, state / "log")
                yield client
        finally:
            process.terminate()


def wait_until_alive(client: httpx.Client, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            client.get("/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return


def request() -> dict:
    data = {name: {"uri": str(EXAMPLE / f"{name}.csv")} for name in ("train", "validation")}
    return {"model": {"uri": str(EXAMPLE / "model")}, "data": {**data, "label": "benign"}}


@pytest.mark.timeout(900)
def test_tensorflow_is_not_there(python: Path):
    code = "import importlib.util as u; print(u.find_spec('tensorflow'), u.find_spec('keras'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["None", "None"]


def test_the_api_is_alive(api: httpx.Client):
    assert api.get("/healthz").json() == {"status": "alive"}


def test_a_good_request_is_taken(api: httpx.Client):
    answer = api.post("/v1/audits", json=request())

    assert answer.status_code == 202, answer.text
    assert api.get(answer.headers["Location"]).json()["status"] == "queued"


def test_a_missing_model_is_told(api: httpx.Client):
    answer = api.post("/v1/audits", json={**request(), "model": {"uri": str(EXAMPLE / "nothing")}})

    assert (answer.status_code, answer.json()["code"]) == (422, "model_not_found")
    assert answer.json()["field"] == "model.uri"


def test_a_folder_that_is_no_saved_model_is_told(api: httpx.Client):
    answer = api.post("/v1/audits", json={**request(), "model": {"uri": str(EXAMPLE / "model" / "variables")}})

    assert answer.status_code == 422
    assert answer.json()["field"] == "model.uri"


def test_without_a_worker_it_is_not_ready(api: httpx.Client):
    assert (api.get("/readyz").status_code, api.get("/readyz").json()["code"]) == (503, "no_worker")
