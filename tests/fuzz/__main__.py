"""Changes sound files until a reader does what it must not: `python -m tests.fuzz [--seconds 600] [KIND ...]`.

Atheris (libFuzzer) changes them, led by the lines of `audits.sources` that are reached. What must not happen: an
exception that is no problem of ours, a crash, more memory than the limit, or more time. What does is written to the
folder of findings, one file each; a file that is kept belongs into tests/fuzz/found/KIND, which the tests read.

Atheris lives in an environment of its own; see `make fuzz`.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from pathlib import Path

MEMORY_BYTES = 3 * 2**30  # beyond what the imports take
SECONDS_EACH = 20
MAX_BYTES = 2**16
OURS = ("/audits/", "/schemas/", "/tests/fuzz/readers")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="of file; all without any")
    parser.add_argument("--seconds", type=int, default=600, help="for each kind")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"), help="folder of corpora and findings")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        _fuzz(arguments.kinds[0], arguments.seconds, arguments.work)
        return
    from tests.fuzz.seeds import SEEDS  # noqa: PLC0415 - what is fuzzed is imported under instrumentation

    found = 0
    for kind in arguments.kinds or SEEDS:
        found += _supervise(kind, arguments.seconds, arguments.work)
    sys.exit(1 if found else 0)


def _supervise(kind: str, seconds: int, work: Path) -> int:
    """Start the fuzzer anew whenever it has ended before its time; how many findings there are."""
    for folder in ("corpus", "found"):
        (work / kind / folder).mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    runs = starts = 0
    while (left := deadline - time.monotonic()) > 1:
        starts += 1
        command = [sys.executable, "-m", "tests.fuzz", "--one", kind, "--seconds", str(int(left)), "--work", str(work)]
        with (work / kind / "log").open("ab") as log:
            subprocess.run(command, stdout=log, stderr=log, check=False)
        counted = work / kind / "runs"
        runs += int(counted.read_text() or 0) if counted.exists() else 0
        counted.unlink(missing_ok=True)
    found = [path for path in (work / kind / "found").iterdir() if path.suffix != ".txt"]
    told = {"kind": kind, "seconds": seconds, "inputs": runs, "starts": starts, "findings": len(found)}
    print(json.dumps(told), flush=True)
    return len(found)


def _fuzz(kind: str, seconds: int, work: Path) -> None:
    import atheris  # noqa: PLC0415 - in the fuzzer's environment alone

    with atheris.instrument_imports(include=["audits.sources", "audits.preflight", "audits.evidence.binding"]):
        from tests.fuzz.readers import READERS, Place  # noqa: PLC0415
        from tests.fuzz.seeds import SEEDS  # noqa: PLC0415
    folder = (work / kind).resolve()
    for number, seed in enumerate(SEEDS[kind]()):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, held + MEMORY_BYTES))
    place, runs = Place(), 0

    def one(content: bytes) -> None:
        nonlocal runs
        runs += 1
        if runs % 100 == 0:
            (folder / "runs").write_text(str(runs))
        try:
            READERS[kind](place, content)
        except BaseException as error:
            _note(folder / "found", content, error)

    atheris.Setup(
        [
            sys.argv[0],
            str(folder / "corpus"),
            f"-max_total_time={seconds}",
            f"-timeout={SECONDS_EACH}",
            f"-rss_limit_mb={MEMORY_BYTES // 2**20}",
            f"-max_len={MAX_BYTES}",
            f"-artifact_prefix={folder}/found/",
            "-print_final_stats=1",
        ],
        one,
        **({"custom_mutator": _as_messages} if kind == "saved_model" else {}),
    )
    atheris.Fuzz()


def _as_messages(content: bytes, most: int, seed: int) -> bytes:
    """Mostly a changed message, and changed bytes now and then."""
    import atheris  # noqa: PLC0415

    from audits.sources.graph.messages import saved_model_class  # noqa: PLC0415
    from tests.fuzz.messages import changed  # noqa: PLC0415

    made = changed(content, saved_model_class(), seed) if seed % 8 else None
    return made if made is not None and len(made) <= most else atheris.Mutate(content, most)


def _note(folder: Path, content: bytes, error: BaseException) -> None:
    """Keep the first input that ends so: an exception is known by its type and the last line of ours that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if any(part in frame.filename for part in OURS)]
    last = ours[-1] if ours else frames[-1]
    where = f"{type(error).__name__}-{Path(last.filename).stem}-{last.lineno}"
    path = folder / f"{where}-{hashlib.sha256(where.encode()).hexdigest()[:6]}"
    if not path.exists():
        path.write_bytes(content)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
