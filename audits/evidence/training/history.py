"""The training history as evidence: aligned curves, the best and the exported epoch, and what the curves tell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.training.exported import ExportedEpoch, exported_epoch
from audits.statistics.curves import Disagreement, Fall, Instability, disagreement, instability, still_falling
from audits.statistics.trend import Divergence, divergence, smooth
from schemas.base import finite

_CACHE = "history"
_HIGHER = ("acc", "auc", "precision", "recall", "f1", "fbeta", "r2", "iou", "dice", "specificity", "sensitivity")
_LOWER = ("mae", "mse", "rmse", "mape", "msle", "error", "logcosh", "log_cosh")
MIN_EPOCHS = 10
# Validation is better than training in so many epochs, by so much of the training loss.
MOSTLY = 0.95
MIN_BETTER = 0.05
# An accuracy that has lost no more than this since the loss turned up is level.
LEVEL_ACCURACY = 0.005
AROUND = 2
LAST = 5


@dataclass(frozen=True)
class History:
    """What was logged after each epoch.

    Attributes:
        series: metric -> (epochs,), NaN where nothing was logged.
        exported: the epoch that the model at hand is of; None where it could not be told.
        reading: what was decided while the log was read.
        logged: metric -> epochs that were logged; all of them for one that is not named.
    """

    series: Mapping[str, Array]
    exported: ExportedEpoch | None = None
    reading: tuple[str, ...] = ()
    logged: Mapping[str, int] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        return max((len(values) for values in self.series.values()), default=0)

    @cached_property
    def turn(self) -> Divergence | None:
        """How the validation loss went on after its minimum, at the default limits; None without one."""
        losses = self.series.get("val_loss")
        return None if losses is None else divergence(losses, self.series.get("loss"))

    @property
    def best_epoch(self) -> int | None:
        """Counted from 0: of the lowest validation loss, or training loss where no other was logged."""
        losses = self.series.get("val_loss", self.series.get("loss"))
        if losses is None or not np.isfinite(losses).any():
            return None
        return int(np.nanargmin(smooth(losses)))

    @cached_property
    def instability(self) -> Instability | None:
        losses = self.series.get("loss")
        # a log that ended before the others' says nothing of the epochs after
        return None if losses is None else instability(losses[: self.logged.get("loss")])

    def still_falling(self, min_fall: float) -> Fall | None:
        """The training loss, where it and the validation loss (if any) were still falling when training ended."""
        told = list(self._falls(min_fall))
        return told[0] if told and None not in told else None

    def _falls(self, min_fall: float) -> Iterator[Fall | None]:
        for name in ("loss", "val_loss"):
            if name in self.series:
                yield still_falling(self.series[name], min_fall=min_fall)
            elif name == "loss":
                yield None

    @cached_property
    def disagreements(self) -> dict[str, Disagreement]:
        """Metric -> how it fails to follow the loss on the same rows."""
        found = {}
        for name, values in self.series.items():
            bare = name.removeprefix("val_")
            loss = self.series.get("val_loss" if name.startswith("val_") else "loss")
            direction = _direction(bare)
            if loss is None or direction is None:
                continue
            told = disagreement(loss, values, higher_is_better=direction, perfect=1.0 if direction else 0.0)
            if told is not None:
                found[name] = told
        return found

    @property
    def validation_is_better(self) -> bool:
        """Throughout: dropout, regularisation or augmentation that only training has, or easier validation rows."""
        if not {"loss", "val_loss"} <= set(self.series):
            return False
        train, validation = self.series["loss"], self.series["val_loss"]
        both = np.isfinite(train) & np.isfinite(validation) & (train > 0)
        if both.sum() < MIN_EPOCHS:
            return False
        better = 1 - validation[both] / train[both]
        return bool(np.mean(better > 0) >= MOSTLY and np.median(better) >= MIN_BETTER)

    @cached_property
    def level_metric(self) -> str | None:
        """A validation metric that has not suffered since the validation loss turned up; None without a turn.

        Then the probabilities have become worse and the decisions have not: calibration, not accuracy, is lost.
        """
        if self.turn is None or self.turn.verdict != "diverged":
            return None
        names = [n for n in self.series if n.startswith("val_") and _direction(n.removeprefix("val_"))]
        decisions = [n for n in names if "acc" in n or "f1" in n] or names
        for name in decisions:
            values = smooth(self.series[name])
            before = values[max(0, self.turn.best_epoch - AROUND) : self.turn.best_epoch + AROUND + 1]
            if np.isfinite(before).any() and np.isfinite(values[-LAST:]).any():
                level = np.nanmean(values[-LAST:]) >= np.nanmax(before) - LEVEL_ACCURACY
                return name if level else None
        return None

    @property
    def notes(self) -> list[str]:
        """Sentences for the report."""
        told = list(self.reading)
        if self.instability is not None:
            told.append(describe_instability(self.instability))
        for name, found in self.disagreements.items():
            told.append(
                f"the loss fell by {found.loss_fall:.0%} while {name} did not follow (correlation "
                f"{found.correlation:.2f} over {found.epochs} epochs): see that the metric belongs to this output"
            )
        if self.validation_is_better:
            told.append(
                "the validation loss lies below the training loss throughout: dropout, regularisation or augmentation "
                "count in training alone, or the validation rows are easier"
            )
        if self.level_metric is not None:
            told.append(
                f"the validation loss rose while {self.level_metric} did not suffer: the probabilities became worse, "
                "not the decisions"
            )
        return told

    def section(self) -> dict[str, JsonValue]:
        """For the report; epochs are counted from 1."""
        return {
            "epochs": self.epochs,
            "best_epoch": None if self.best_epoch is None else self.best_epoch + 1,
            "exported_epoch": None if self.exported is None else self.exported.epoch + 1,
            "exported_match": None if self.exported is None else self.exported.match,
            "notes": list[JsonValue](self.notes),
            "metrics": {name: [finite(float(v)) for v in values] for name, values in self.series.items()},
        }


def describe_instability(found: Instability) -> str:
    epoch = found.epoch + 1
    if found.kind == "not_finite":
        return f"the training loss is NaN or infinite from epoch {epoch} on"
    if found.kind == "climbs":
        return (
            f"the training loss rose again from its minimum in epoch {epoch}, losing {found.size:.0%} of what it had "
            "gained"
        )
    return f"the training loss spiked in {found.spikes} epochs, highest in epoch {epoch}"


def history_of(case: Case) -> History | None:
    """The history, prepared once per case; None where none was given."""
    if case.history is None:
        return None
    cached = case.cache.get(_CACHE)
    if isinstance(cached, History):
        return cached
    epochs = max((len(values) for values in case.history.values()), default=0)
    logged = {name: len(values) for name, values in case.history.items()}
    series = {name: _aligned(values, epochs) for name, values in case.history.items()}
    history = History(series, exported_epoch(case, series), tuple(getattr(case.history, "notes", ())), logged)
    case.cache[_CACHE] = history
    return history


def _aligned(values: list[float], epochs: int) -> Array:
    """(epochs,) float64; a metric that stopped before the others ends in NaN."""
    series = np.full(epochs, np.nan)
    series[: len(values)] = values
    return np.where(np.isfinite(series), series, np.nan)


def _direction(name: str) -> bool | None:
    """Whether higher is better; None for what is no metric that we know."""
    words = name.lower()
    if "loss" in words or "entropy" in words:
        return None
    if any(word in words for word in _LOWER):
        return False
    return True if any(word in words for word in _HIGHER) else None
