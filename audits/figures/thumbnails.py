"""Small pictures of images: what the model was trained on, what it was shown, and the repair."""

import base64
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.images import ImageForm
from audits.figures.spec import Row, figure, names_axis, nominal
from schemas.report import Figure

SIDE = 48
ACROSS = 6
# Six of them fit beside each other on a phone.
SHOWN = 36


def thumbnails(case: Case, numbers: Sequence[int] = (), repaired: Subject | None = None) -> Figure | None:
    """Training images above validation images; None where the rows are no images.

    Args:
        case: as submitted.
        numbers: rows of the validation split to show; the first ones where there are none.
        repaired: the validation sample after its repair, shown in a third line.
    """
    sample = case.validation.sample
    form = ImageForm.of(case.space, sample.rows)
    if form is None:
        return None
    chosen = np.flatnonzero(np.isin(sample.index, np.asarray(numbers, dtype=np.int64))) if len(numbers) else None
    at = (np.arange(len(sample)) if chosen is None or not len(chosen) else chosen)[:ACROSS]
    lines = {
        "training": case.train.sample.at(np.arange(min(ACROSS, len(case.train.sample)))),
        "validation": sample.at(at),
    }
    if repaired is not None and len(repaired) == len(sample):
        lines["repaired"] = repaired.at(at)
    low, high = _range(np.asarray(case.train.sample.rows[: 4 * ACROSS]))
    rows = [row for name, subject in lines.items() for row in _rows(name, subject, form, low, high)]
    title = "Training images above the validation images in question"
    if "repaired" in lines:
        title += ", and these repaired"
    body = {
        "height": {"step": SHOWN + 10},
        "encoding": {
            "y": nominal("line", axis=names_axis(80)),
            "x": {"field": "place", "type": "ordinal", "axis": None},
            "url": {"field": "image", "type": "nominal"},
        },
        "mark": {"type": "image", "width": SHOWN, "height": SHOWN},
    }
    told = ", ".join(
        f"validation row {int(i)} of class {_label(sample, p)}" for p, i in zip(at, sample.index[at], strict=True)
    )
    return figure("thumbnails", title, f"{title}: {told}.", rows, body)


def _label(subject: Subject, place: int) -> str:
    return str(subject.raw_labels[place])[:24]


def _rows(line: str, subject: Subject, form: ImageForm, low: float, high: float) -> Iterator[Row]:
    images = form.images(np.asarray(subject.rows))
    for place in range(len(subject)):
        image = _picture(np.asarray(images[place], dtype=np.float64), low, high)
        row = int(subject.index[place])
        yield {"line": line, "place": place, "row": row, "label": _label(subject, place), "image": image}


def _range(images: Array) -> tuple[float, float]:
    """What is black and what is white: as in the training images, so that another scale is seen."""
    known = images[np.isfinite(images)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def _picture(values: Array, low: float, high: float) -> str:
    """A PNG of (height, width, channels) as a data address: of three channels in colour, else of the first alone."""
    pixels = values[..., :3] if values.shape[-1] in {3, 4} else values[..., 0]
    grey = np.nan_to_num((pixels - low) / max(high - low, 1e-12), nan=0.0, posinf=1.0, neginf=0.0)
    picture = Image.fromarray((np.clip(grey, 0, 1) * 255).astype(np.uint8))
    picture = picture.resize(
        (SIDE, SIDE), Image.Resampling.BOX if min(pixels.shape[:2]) > SIDE else Image.Resampling.NEAREST
    )
    kept = io.BytesIO()
    picture.save(kept, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(kept.getvalue()).decode()
