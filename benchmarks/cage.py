"""What the cage costs: how long a model's process takes to start, and to answer, with it and without.

Usage: python -m benchmarks.cage [--repeat 20] [--output docs/security.md]

Both sides are measured in turn. On a machine that does other work too, the fastest of many runs says most.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from audits.isolation import Cage
from audits.models import import_tensorflow, start_model
from audits.models.conversation import Conversation
from audits.sources import describe_model
from benchmarks.document import rows_of, write_between
from schemas.isolation import Sandbox
from tests.audits.isolation.caged import caged

MODEL = Path("examples/wrong_scaling/model")
ROWS = 200_000
SIDES: tuple[Sandbox, Sandbox] = ("off", "auto")


def enter_seconds(sandbox: Sandbox, scratch: Path) -> float:
    """To lock a process in and to try whether it holds."""
    begun = time.monotonic()
    caged(Cage(scratch, sandbox=sandbox), lambda: None)
    return time.monotonic() - begun


def start_seconds(sandbox: Sandbox) -> float:
    """From the fork to the first word of the process."""
    begun = time.monotonic()
    with Conversation(60, [MODEL], sandbox=sandbox):
        return time.monotonic() - begun


def load_seconds(sandbox: Sandbox) -> float:
    """From the fork to a model that is ready."""
    description = describe_model(MODEL)
    begun = time.monotonic()
    with start_model(description, device="cpu", sandbox=sandbox):
        return time.monotonic() - begun


def answer_seconds(sandbox: Sandbox) -> Callable[[], float]:
    """For many rows, by a process that has answered before."""
    description = describe_model(MODEL)
    model = start_model(description, device="cpu", sandbox=sandbox)
    x = {spec.name: np.ones((ROWS, *(size or 1 for size in (spec.shape or ())[1:]))) for spec in description.inputs}
    model.predict(x)

    def measure() -> float:
        begun = time.monotonic()
        model.predict(x)
        return time.monotonic() - begun

    return measure


def in_turn(measures: Sequence[Callable[[], float]], repeat: int) -> list[list[float]]:
    taken = [[measure() for measure in measures] for _ in range(repeat)]
    return [list(side) for side in zip(*taken, strict=True)]


def row(name: str, sides: Sequence[Sequence[float]]) -> list[str]:
    without, within = (min(side) for side in sides)
    medians = [statistics.median(side) for side in sides]
    cells = [f"{value * 1000:.1f}" for value in (without, within, *medians)]
    return [name, *cells, f"{(within - without) * 1000:+.1f} ms ({within / without - 1:+.1%})"]


def table(repeat: int, scratch: Path) -> str:
    import_tensorflow()
    rows = [
        row("lock in and try", in_turn([lambda side=side: enter_seconds(side, scratch) for side in SIDES], repeat)),
        row("start a process", in_turn([lambda side=side: start_seconds(side) for side in SIDES], repeat)),
        row("start and load a model", in_turn([lambda side=side: load_seconds(side) for side in SIDES], repeat)),
        row(f"answer {ROWS:,} rows", in_turn([answer_seconds(side) for side in SIDES], repeat)),
    ]
    header = ("", "without, fastest (ms)", "with, fastest (ms)", "without, median", "with, median", "cost")
    return rows_of(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--output", type=Path, help="document with the marks of `cage`")
    arguments = parser.parse_args()
    scratch = Path("/tmp/fitcheck-cage")
    scratch.mkdir(exist_ok=True)
    made = table(arguments.repeat, scratch)
    print(made)
    if arguments.output is not None:
        write_between(arguments.output, "cage", f"Of {arguments.repeat} runs each, in turn.\n\n{made}")


if __name__ == "__main__":
    main()
