"""Who runs the model in the pass over the splits: processes of this machine, or those of a Ray cluster."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from audits.artefacts import Split
from audits.evidence.fold import RawSplit


class Executor(Protocol):
    """Runs the one pass over a split, whichever way: what comes out is the same."""

    def collect(
        self, split: Split, tensor: str | None, rng: np.random.Generator, on_rows: Callable[[int], None]
    ) -> RawSplit:
        """Read every row once and run the model on it.

        Args:
            split: train or validation.
            tensor: keep this output; None: all that may be judged.
            rng: chooses the sample.
            on_rows: told the number of rows done, now and then.

        Raises:
            ProblemError: what is wrong with the data or the model, the first in the order of the rows.
        """
        ...

    def close(self) -> None: ...
