"""The pass over the splits on this machine: by one process of the model, or by several where that pays."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

import numpy as np

from audits.artefacts import Model, Split
from audits.evidence.collect import BATCH_ROWS, batch_rows, collect
from audits.evidence.fold import RawSplit
from audits.evidence.tables import TableGuard
from audits.opened import Opened

# One part keeps about two cores busy: a thread reads, one takes fingerprints, and the model's process answers.
CORES_EACH = 2
MAX_PARTS = 4
# What reading a narrow row and taking its fingerprint costs at least (benchmarks.speed), whatever the model is.
SECONDS_A_ROW = 1.2e-6


class LocalExecutor:
    """Implements `audits.executors.Executor`.

    Args:
        opened: the model that the rest of the audit runs, too.
        helpers: more processes of the same model.
    """

    def __init__(self, opened: Opened, helpers: Sequence[Model] = ()) -> None:
        self._helpers = helpers
        guards = (TableGuard(opened.internals) for _ in helpers)
        others = [replace(opened, model=m, guard=g) for m, g in zip(helpers, guards, strict=False)]
        self._all = [opened, *others]

    def collect(
        self, split: Split, tensor: str | None, rng: np.random.Generator, on_rows: Callable[[int], None]
    ) -> RawSplit:
        return collect(split, [one.answers_for(tensor) for one in self._all], rng, on_rows)

    def close(self) -> None:
        for helper in self._helpers:
            helper.close()


def local_executor(opened: Opened, start: Callable[[], Model], parts: int) -> LocalExecutor:
    """An executor that folds so many parts of a split at a time; `start` starts a process of the model.

    The processes are started before a row is read: what is forked later would inherit its label. A process ends with
    the thread that started it, so that all are started by this one, one after the other.

    Raises:
        ModelError, EvaluatorError: a process could not be started.
    """
    with ExitStack() as started:
        helpers = [started.enter_context(closing(start())) for _ in range(parts - 1)]
        started.pop_all()  # from here on, they are the executor's to close
    return LocalExecutor(opened, helpers)


def parts_that_pay(splits: Sequence[Split], device: str, start_seconds: float) -> int:
    """How many parts of a split to fold at a time, so that the wait for more processes is won back.

    Args:
        splits: that are to be folded.
        device: that the model runs on. A graphics card is not divided.
        start_seconds: that starting one process of the model took.
    """
    rows = sum(split.starts()[-1] for split in splits if split.starts())
    is_narrow = all(batch_rows(split) == BATCH_ROWS for split in splits)
    parts = min(int(_idle_cores()) // CORES_EACH, MAX_PARTS)
    if device != "cpu" or not is_narrow or parts < 2:
        # the model itself is what takes the time of wide rows, and it uses all cores
        return 1
    won = rows * SECONDS_A_ROW * (1 - 1 / parts)
    return parts if won > (parts - 1) * start_seconds else 1


def _idle_cores() -> float:
    """Of those that this process may use; itself aside."""
    return len(os.sched_getaffinity(0)) - max(0.0, os.getloadavg()[0] - 1)
