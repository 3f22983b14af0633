"""The acceptance experiment: healthy audits, and audits with one injected fault each.

Usage: python -m benchmarks.acceptance [--audits 200] [--jobs 2] [--minutes 120] [--output docs/benchmarks.md]

Every audit is of a network that is trained for it on a random split, exported as a SavedModel and audited from files
by `audits.engine.audit`. Results are appended to a journal below .cache/: an interrupted run goes on where it was,
as long as neither the engine nor the cases have changed. The same --seed makes the same cases.
"""

import argparse
import os
import shutil
from pathlib import Path

from benchmarks.acceptance import tables
from benchmarks.acceptance.records import Journal, fingerprint
from benchmarks.acceptance.running import Options, run
from benchmarks.document import write_between

JOURNAL = Path(".cache/benchmarks/acceptance.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audits", type=int, default=200, help="of healthy models, and as many with a fault")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--minutes", type=float, default=240, help="start no further audit after this time")
    parser.add_argument("--seed", type=int, default=20_260)
    parser.add_argument("--journal", type=Path, default=JOURNAL)
    parser.add_argument("--anew", action="store_true", help="forget what the journal holds")
    parser.add_argument("--keep", type=Path, help="folder in which to leave the cases")
    parser.add_argument("--output", type=Path, help="document to write the tables into, charts next to it")
    arguments = parser.parse_args()
    if arguments.anew:
        arguments.journal.unlink(missing_ok=True)
    journal = Journal(arguments.journal, fingerprint())
    known = journal.read()
    if arguments.minutes > 0:
        options = Options(arguments.audits, arguments.jobs, arguments.minutes, arguments.seed, arguments.keep)
        run(options, journal, known)
    records = tables.counted(known.values(), arguments.audits, arguments.seed)
    content = tables.written(records, arguments.seed)
    print(content)
    if arguments.output:
        folder = arguments.output.parent / "benchmarks"
        shutil.rmtree(folder, ignore_errors=True)
        charts = tables.write_charts(records, folder)
        write_between(arguments.output, "acceptance", f"{content}\n\n{charts}")


if __name__ == "__main__":
    main()
