"""Logs that hold more than one run: killed and resumed, continued, or written over each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan

Epochs = list[tuple[int, Mapping[str, float]]]
LOSSES = ("loss", "val_loss")


@dataclass
class Joined:
    """The epochs that belong to the model, in order, and what had to be decided.

    Attributes:
        epochs: their numbers as logged, and metric -> value.
        notes: sentences for the report.
    """

    epochs: Epochs
    notes: list[str] = field(default_factory=list)

    def metrics(self) -> dict[str, list[float]]:
        """Metric -> its value after each epoch, NaN where it was not logged."""
        names = dict.fromkeys(name for _, values in self.epochs for name in values)
        return {name: [values.get(name, nan) for _, values in self.epochs] for name in names}


def join(segments: Sequence[Epochs]) -> Joined:
    """One history from segments in the order in which they were written, each counting its epochs upwards.

    A segment that begins inside the one before resumed it from there: the epochs in between were trained again.
    One that begins anew is a second call of `fit` when its loss goes on where the other one ended, and another run
    when it does not; then the last run is the model's.
    """
    joined = Joined([])
    for segment in segments:
        if not segment:
            continue
        if not joined.epochs:
            joined.epochs = list(segment)
            continue
        first, begin, end = segment[0][0], joined.epochs[0][0], joined.epochs[-1][0]
        if first > begin:
            kept = [epoch for epoch in joined.epochs if epoch[0] < first]
            if first <= end:
                joined.notes.append(
                    f"the run was resumed at epoch {first}: {len(joined.epochs) - len(kept)} epochs were logged twice, "
                    "the later ones are used"
                )
            joined.epochs = kept + list(segment)
        elif _goes_on(joined.epochs, segment):
            joined.notes.append(
                f"the epochs begin anew after {len(joined.epochs)}, and the loss goes on where it was: training was "
                "continued"
            )
            shift = end + 1 - first
            joined.epochs = joined.epochs + [(number + shift, values) for number, values in segment]
        else:
            joined.notes.append(
                f"{len(joined.epochs)} epochs of an earlier run stand before the last one and are left out"
            )
            joined.epochs = list(segment)
    return joined


def _goes_on(before: Epochs, after: Epochs) -> bool:
    """Whether the first loss of the one is nearer to the last loss of the other than to its first."""
    for name in LOSSES:
        first, last, now = (values.get(name, nan) for values in (before[0][1], before[-1][1], after[0][1]))
        if isfinite(first) and isfinite(last) and isfinite(now):
            return abs(now - last) < abs(now - first)
    return False


def segments(epochs: Epochs) -> list[Epochs]:
    """Cut where the numbers do not rise."""
    cut: list[Epochs] = []
    for number, values in epochs:
        if not cut or number <= cut[-1][-1][0]:
            cut.append([])
        cut[-1].append((number, values))
    return cut
