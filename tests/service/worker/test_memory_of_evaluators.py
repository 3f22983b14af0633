"""An evaluator that needs more memory than there is ends with a problem; the machine goes on."""

import subprocess
import sys
from pathlib import Path

from .conftest import ROOT

HOLD = """
import sys, tempfile
from audits.isolation import memory
memory.model_limit = lambda: 256 * 2**20
from schemas.request import AuditRequest
from service.settings import Settings
from service.worker import audit
tempfile.tempdir = sys.argv[1]
reference = {"uri": "x.csv"}
request = AuditRequest.model_validate(
    {"model": {"uri": "m"}, "data": {"train": reference, "validation": reference}, "resources": {"device": "cpu"}}
)
audit._lock_in(request, [], Settings(state_dir=sys.argv[1]))
bytearray(128 * 2**20)
try:
    bytearray(4 * 2**30)
except MemoryError:
    print("refused")
"""


def test_no_more_than_is_free_can_be_held(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=170)

    assert done.stdout.endswith("refused\n"), done.stderr[-2000:]
