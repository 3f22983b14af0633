"""Workers of the long benchmarks end with the process that started them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A worker, and what it forks, say who they are, and are then busy for longer than the test waits.
BUSY = """
import os, signal, sys, time
from benchmarks.auditing import in_fork, worker_pool

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where the tests run in the background

def prepare():
    pass

def tell():
    print(os.getpid(), flush=True)
    time.sleep(120)

def work():
    print(os.getpid(), flush=True)
    in_fork(tell)

if __name__ == "__main__":
    with worker_pool(1, prepare) as pool:
        pool.submit(work).result()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_process_that_started_it(tmp_path: Path, number: signal.Signals):
    script = tmp_path / "busy.py"
    script.write_text(BUSY, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(number)
        parent.wait(60)

    deadline = time.monotonic() + 60
    while any(is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [worker for worker in workers if is_running(worker)]


def is_running(pid: int) -> bool:
    """Whether it does anything: a zombie that nobody waits for does not."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    return False
