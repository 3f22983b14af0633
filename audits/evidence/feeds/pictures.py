"""Images as encoded files, for models that decode them."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from audits.artefacts import Array, Rows, TensorSpec

_GREY = 1


@dataclass(frozen=True)
class PictureFeed:
    """The one input of a model that takes images as the bytes of a file. PNG loses nothing of 8-bit values."""

    spec: TensorSpec
    columns: tuple[str, ...] = ()

    def array(self, rows: Rows) -> Array:
        """(rows,) bytes of PNG files, from (rows, height, width, channels)."""
        files = np.empty(len(rows), dtype=object)
        files[:] = [_png(image) for image in np.asarray(rows)]
        return files

    def describe(self) -> dict[str, Any]:
        return {
            "input": self.spec.name,
            "columns": [],
            "sent_as": "bytes of PNG files",
            "layout": "dense",
            "note": "the model decodes images itself; values were rounded to whole numbers from 0 to 255",
        }


def _png(image: Array) -> bytes:
    pixels = np.clip(np.rint(np.nan_to_num(image)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == _GREY else pixels).save(buffer, format="PNG")
    return buffer.getvalue()
