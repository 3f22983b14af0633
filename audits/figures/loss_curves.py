"""How the losses went over the epochs, where the validation loss turned, and which epoch was exported."""

from collections.abc import Iterator, Mapping

import numpy as np

from audits.artefacts import Array
from audits.evidence.training.history import History
from audits.figures.spec import INK, MAX_POINTS, Row, Spec, at_most, by_split, figure, x
from schemas.report import Figure

SERIES: Mapping[str, str] = {"training": "loss", "validation": "val_loss"}


def loss_curves(history: History) -> Figure | None:
    """Training and validation loss; None where no loss was logged."""
    curves = {split: history.series[name] for split, name in SERIES.items() if name in history.series}
    curves = {split: values for split, values in curves.items() if np.isfinite(values).sum() > 1}
    if not curves:
        return None
    rows = [*_rows(curves)]
    turned = history.turn is not None and history.turn.verdict == "diverged"
    best, exported = history.best_epoch, history.exported
    title = _title(history, turned)
    marks = [
        *([] if best is None else [_mark(best + 1, history.epochs, "lowest")]),
        *(
            []
            if exported is None or exported.epoch == best
            else [_mark(exported.epoch + 1, history.epochs, "exported")]
        ),
    ]
    body = {
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2, "interpolate": "linear"},
                "encoding": {
                    "x": x("epoch", "epoch", axis={"tickMinStep": 1, "grid": False}, scale={"zero": False}),
                    "y": x("loss", "loss", scale={"zero": False}, axis={"tickCount": 5}),
                    "color": by_split(),
                },
            },
            *marks,
        ],
    }
    ends = "; ".join(f"the {split} loss goes from {v[0]:.3g} to {v[-1]:.3g}" for split, v in _known(curves).items())
    return figure("loss_curves", title, f"{title}. Over {history.epochs} epochs {ends}.", rows, body)


def _title(history: History, turned: bool) -> str:
    best, exported = history.best_epoch, history.exported
    if best is None:
        return "The losses over the epochs"
    which = "validation" if "val_loss" in history.series else "training"
    turn = " and rose from there" if turned else ""
    told = "" if exported is None else f"; epoch {exported.epoch + 1} was exported"
    return f"The {which} loss was lowest at epoch {best + 1} of {history.epochs}{turn}{told}"


def _known(curves: Mapping[str, Array]) -> dict[str, Array]:
    return {split: values[np.isfinite(values)] for split, values in curves.items()}


def _rows(curves: Mapping[str, Array]) -> Iterator[Row]:
    for split, values in curves.items():
        epochs = np.flatnonzero(np.isfinite(values))
        for place in at_most(epochs, MAX_POINTS // len(curves)):
            yield {"split": split, "epoch": int(epochs[place]) + 1, "loss": float(values[epochs[place]])}


def _mark(epoch: int, epochs: int, word: str) -> Spec:
    """A vertical line with a word beside it, inside the figure; the two words never stand in one line."""
    is_lowest = word == "lowest"
    right = epoch > epochs / 2
    text = {
        "type": "text",
        "align": "right" if right else "left",
        "dx": -4 if right else 4,
        "y": 8 if is_lowest else 24,
        "color": INK,
    }
    return {
        "data": {"values": [{"epoch": epoch, "word": word}]},
        "encoding": {"x": x("epoch", None)},
        "layer": [
            {"mark": {"type": "rule", "color": INK, "strokeDash": [4, 3] if is_lowest else [1, 0]}},
            {"mark": text, "encoding": {"text": {"field": "word", "type": "nominal"}}},
        ],
    }
