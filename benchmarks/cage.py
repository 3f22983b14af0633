"""What the cage costs: how long a model's process takes to start, and to answer, with it and without.

Usage: python -m benchmarks.cage [--repeat 20] [--output docs/security.md]

Both sides are measured in turn, in time of the processor: the machine may do other work too.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from audits.models import import_tensorflow, start_model
from audits.models.conversation import Conversation
from audits.sources import describe_model
from benchmarks.document import rows_of, write_between
from schemas.isolation import Sandbox

MODEL = Path("examples/wrong_scaling/model")
ROWS = 200_000
SIDES: tuple[Sandbox, Sandbox] = ("off", "auto")


def cpu_seconds(pid: int) -> float:
    """That a process has taken; see clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def start_seconds(sandbox: Sandbox) -> float:
    """Of both processes, from the fork to the first word of the new one."""
    begun = time.process_time()
    with Conversation(60, [MODEL], sandbox=sandbox) as made:
        return time.process_time() - begun + cpu_seconds(made.child.pid)


def load_seconds(sandbox: Sandbox) -> float:
    """Of both processes, from the fork to a model that is ready."""
    description = describe_model(MODEL)
    begun = time.process_time()
    with start_model(description, device="cpu", sandbox=sandbox) as model:
        return time.process_time() - begun + cpu_seconds(model.pid)


def answer_seconds(sandbox: Sandbox) -> Callable[[], float]:
    """Of both processes for many rows, where the model has answered before."""
    description = describe_model(MODEL)
    model = start_model(description, device="cpu", sandbox=sandbox)
    x = {spec.name: np.ones((ROWS, *(size or 1 for size in (spec.shape or ())[1:]))) for spec in description.inputs}
    model.predict(x)

    def measure() -> float:
        begun = time.process_time() + cpu_seconds(model.pid)
        model.predict(x)
        return time.process_time() + cpu_seconds(model.pid) - begun

    return measure


def in_turn(measures: Sequence[Callable[[], float]], repeat: int) -> list[list[float]]:
    taken = [[measure() for measure in measures] for _ in range(repeat)]
    return [list(side) for side in zip(*taken, strict=True)]


def row(name: str, sides: Sequence[Sequence[float]]) -> list[str]:
    without, within = (min(side) for side in sides)
    medians = [statistics.median(side) for side in sides]
    cells = [f"{value * 1000:.1f}" for value in (without, within, *medians)]
    return [name, *cells, f"{(within - without) * 1000:+.1f} ms ({within / without - 1:+.1%})"]


def table(repeat: int) -> str:
    import_tensorflow()
    rows = [
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
    made = table(arguments.repeat)
    print(made)
    if arguments.output is not None:
        write_between(
            arguments.output, "cage", f"Time of the processor, of {arguments.repeat} runs each, in turn.\n\n{made}"
        )


if __name__ == "__main__":
    main()
