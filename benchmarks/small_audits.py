"""How long a small audit takes on a warm service, and against starting a process for it.

Usage: python -m benchmarks.small_audits [--repeat 5] [--output docs/benchmarks.md]

One run measures both sides in turn, example by example: the audit through the HTTP API of a running service, from the
moment a worker picks it up until the job is done as a client sees it, and `fitcheck audit`, which loads TensorFlow
first. Ratios carry over to other machines; seconds do not.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.document import rows_of, write_between
from scripts.demo import STATE, fresh_state, request_of, running_service
from service.cli.client import Client

EXAMPLES = ("random_labels", "imbalanced", "missing_values/left_in", "wrong_scaling")
POLL_SECONDS = 0.02


def warm_seconds(client: Client, example: str) -> float:
    """From picked up to done, as a client that polls every 20 ms sees it."""
    job = client.submit(request_of(example))
    picked_up = None
    while job.status in {"queued", "running"}:
        if job.status == "running" and picked_up is None:
            picked_up = time.monotonic()
        time.sleep(POLL_SECONDS)
        job = client.get(job.id)
    if job.status != "succeeded":
        raise SystemExit(f"{example}: {job.status}, {job.error}")
    return time.monotonic() - (picked_up or time.monotonic())


def cold_seconds(example: str) -> float:
    """`fitcheck audit` from start to end."""
    folder = Path("examples") / example / "request.json"
    command = [Path(sys.executable).with_name("fitcheck"), "audit", "--request", folder, "--fail-on", "never"]
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - begun


def measure(repeat: int) -> list[tuple[str, float, float, float]]:
    """(example, median warm, slowest warm, median cold), in seconds."""
    rows = []
    STATE.mkdir(exist_ok=True)
    with fresh_state() as state, running_service(state, STATE / "benchmark.log") as address, Client(address) as client:
        warm_seconds(client, EXAMPLES[0])  # the first audit after a start reads libraries from disk
        for example in EXAMPLES:
            warm, cold = [], []
            for _ in range(repeat):
                warm.append(warm_seconds(client, example))
                cold.append(cold_seconds(example))
            rows.append((example, statistics.median(warm), max(warm), statistics.median(cold)))
            print(f"{example}: {rows[-1][1]:.2f} s warm, {rows[-1][3]:.2f} s cold", flush=True)
    return rows


def table(rows: list[tuple[str, float, float, float]], repeat: int) -> str:
    header = ("example", "warm service, s", "slowest of them, s", "`fitcheck audit`, s", "ratio")
    cells = [
        (name, f"{warm:.2f}", f"{worst:.2f}", f"{cold:.2f}", f"{cold / warm:.1f}") for name, warm, worst, cold in rows
    ]
    measured_on = f"{os.cpu_count()} cores; load average at the end {os.getloadavg()[0]:.1f}"
    return f"Median of {repeat} runs on {measured_on}.\n\n{rows_of(header, cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    content = table(measure(arguments.repeat), arguments.repeat)
    print(content)
    if arguments.output:
        write_between(arguments.output, "small_audits", content)


if __name__ == "__main__":
    main()
