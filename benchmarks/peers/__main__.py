"""Every tool on the same cases: what it notices, what it names, how often it cries wolf, and how long it takes.

Usage: python -m benchmarks.peers CASES [--tools fitcheck deepchecks ...] [--output docs/benchmarks.md]

CASES holds case folders (request.json, truth.json, model/ and data), as `benchmarks.acceptance --keep CASES` leaves
them. Each tool runs in an environment of its own, made below --environments on first use, with its own default limits.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.auditing import THREADS, Outcome, audit_folder, worker_pool
from benchmarks.cases import Truth, truth_of
from benchmarks.document import write_between
from benchmarks.peers.comparing import Line, lines_of, table
from benchmarks.peers.environments import REQUIREMENTS, interpreter_of
from benchmarks.peers.preparing import prepare_once

HERE = Path(__file__).parent
TOOLS = ("fitcheck", *REQUIREMENTS)


def run_peer(tool: str, cases: Path, state: Path, environments: Path) -> dict[str, Any]:
    """What the adapter wrote; it goes on writing case by case, so an interrupted one left what it had.

    Raises:
        subprocess.CalledProcessError: the environment cannot be made.
    """
    python = interpreter_of(tool, environments)
    output = state / f"{tool}.json"
    output.unlink(missing_ok=True)
    environment = {**os.environ, **THREADS, "LOKY_MAX_CPU_COUNT": "1", "PYTHONPATH": ""}
    with (state / f"{tool}.log").open("w") as log:
        command = [python, HERE / f"{tool}_adapter.py", cases, output]
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    if done.returncode or not output.exists():
        print(f"{tool}: ended with {done.returncode}, see {log.name}", flush=True)
    return dict(json.loads(output.read_text(encoding="utf-8"))) if output.exists() else {}


def gather(arguments: argparse.Namespace) -> list[Line]:
    folders = sorted(path.parent.absolute() for path in arguments.cases.glob("*/truth.json"))
    if arguments.only:
        folders = [folder for folder in folders if any(part in folder.name for part in arguments.only)]
    state = arguments.state.absolute()
    cases = state / "prepared"
    outcomes: dict[str, Outcome] = {}
    with worker_pool(arguments.jobs) as pool:
        problems = dict(
            zip(folders, pool.map(prepare_once, folders, [cases / folder.name for folder in folders]), strict=True)
        )
        for folder, why in problems.items():
            if why:
                print(f"{folder.name}: left out, {why}", flush=True)
        usable = [folder for folder in folders if problems[folder] is None]
        truths: dict[str, Truth] = {folder.name: truth_of(folder) for folder in usable}
        if "fitcheck" in arguments.tools:
            outcomes = dict(zip(truths, pool.map(audit_folder, usable), strict=True))
    lines = lines_of("fitcheck", outcomes, truths) if outcomes else []
    for tool in arguments.tools:
        if tool == "fitcheck":
            continue
        try:
            answers = run_peer(tool, cases, state, arguments.environments.absolute())
        except subprocess.CalledProcessError as error:
            print(f"{tool}: cannot be installed ({error})", flush=True)
            continue
        lines += lines_of(tool, {name: answers[name] for name in truths if name in answers}, truths)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--only", nargs="+", help="cases whose name holds one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--environments", type=Path, default=Path(".cache/benchmarks/environments"))
    parser.add_argument(
        "--state", type=Path, default=Path(".cache/benchmarks/peers"), help="prepared cases and answers"
    )
    parser.add_argument("--output", type=Path, help="document to write the table into")
    arguments = parser.parse_args()
    lines = gather(arguments)
    if not lines:
        raise SystemExit("no tool answered")
    content = table(lines)
    print(content)
    if arguments.output:
        write_between(arguments.output, "peers", content)


if __name__ == "__main__":
    main()
