"""Every command of docs/tutorial.md, in its order, as a reader types them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.long]

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
(TRAINING,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
# Whatever happens, the service that the page starts ends with its shell.
CLEANING = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def stocked(tmp_path: Path) -> Path:
    """A folder for the reader, with a repository to clone that holds the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    repository = tmp_path / "repository"
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name)
    git = ["git", "-c", "user.name=reader", "-c", "user.email=reader@x.test"]
    subprocess.run([*git, "init", "-q"], cwd=repository, check=True)
    subprocess.run([*git, "add", "-A"], cwd=repository, check=True)
    subprocess.run([*git, "commit", "-qm", "All"], cwd=repository, check=True)
    return tmp_path


@pytest.mark.timeout(900)
@pytest.mark.skipif(not all(map(shutil.which, ("git", "curl", "sed"))), reason="needs git and curl")
def test_its_commands_lead_to_the_diagnosis_and_out_of_it(stocked: Path):
    port = free_port()
    # `make setup` installs for minutes; tests/scripts/test_setup.py is about it. Here this environment serves.
    stands_in = 'ln -s "$TOOLS" .venv'
    first, *rest = COMMANDS
    assert "make setup" in first
    script = "\n".join([first.replace("make setup", stands_in), 'cp "$TRAINING" train.py', *rest])
    (stocked / "train.py").write_text(TRAINING)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FITCHECK_")},
        "FITCHECK_REPOSITORY": str(stocked / "repository"),
        "FITCHECK_PORT": str(port),
        "FITCHECK_URL": f"http://127.0.0.1:{port}",
        "FITCHECK_STATE_DIR": str(stocked / "state"),
        "TRAINING": str(stocked / "train.py"),
        "TOOLS": str(Path(sys.executable).parents[1]),
        "PYTHONPATH": str(stocked / "fitcheck"),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-c", CLEANING + script.replace("127.0.0.1:8000", f"127.0.0.1:{port}")],
        cwd=stocked, env=environment, capture_output=True, text=True, timeout=850, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    before, after = done.stdout.split("exit code 1\n")
    assert "preprocessing.scaling_mismatch" in before
    assert "Confirmed" in before
    mended = json.loads((stocked / "fitcheck" / "mine" / "mended.json").read_text())
    assert "preprocessing.scaling_mismatch" not in [finding["code"] for finding in mended["findings"]]
    assert "FAIL" in after
    assert "preprocessing.scaling_mismatch" in after.split("training loss")[1]  # as `compare` lists it
    assert (stocked / "fitcheck" / "mine" / "report.html").is_file()
