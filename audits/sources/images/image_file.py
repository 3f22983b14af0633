"""One image file: judged by its header, decoded, brought to a size. Nothing but common raster formats is opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from audits.artefacts import Array
from schemas.problem import DataError

# The decoders that are tried; others start programs (EPS) or read further files.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
# 64 megapixels: more than any camera's photograph that a network was trained on, 256 MiB decoded.
MAX_PIXELS = 64 * 2**20
MAX_FILE_BYTES = 256 * 2**20
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

# Our own limit, below, refuses; Pillow's would only warn at first.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ImageSize:
    """The size of images in pixels.

    Attributes:
        height, width, channels: of every image.
        resize: whether images of another size are brought to it, or refused.
    """

    height: int
    width: int
    channels: int
    resize: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


def size_of(path: Path, *, field: str) -> ImageSize:
    """By the header.

    Raises:
        DataError: `image_unreadable`, `image_too_large`.
    """
    with _opened(path, field) as image:
        return ImageSize(image.height, image.width, len(image.getbands()))


def decoded(path: Path, size: ImageSize, *, field: str) -> Array:
    """(height, width, channels) float32 from 0 to 255.

    Raises:
        DataError: `image_unreadable`, `image_too_large`; `image_sizes_differ` where it must not be resized.
    """
    with _opened(path, field) as image:
        if not size.resize and (image.height, image.width) != (size.height, size.width):
            raise DataError(
                "image_sizes_differ",
                f"{path.name} is {image.width} x {image.height} pixels, the first training image {size.width} x "
                f"{size.height}, and the model takes any size. Resize the images, or export a model of one size.",
                field=field,
                file=str(path),
            )
        pixels = _pixels(image, size.channels)
    return resized(pixels, size.height, size.width)


@contextmanager
def _opened(path: Path, field: str) -> Iterator[Image.Image]:
    try:
        _require(path.stat().st_size <= MAX_FILE_BYTES, path, field, f"has more than {MAX_FILE_BYTES:,} bytes")
        with Image.open(path, formats=FORMATS) as image:
            size = f"is {image.width:,} x {image.height:,} pixels, more than {MAX_PIXELS:,}"
            _require(image.width * image.height <= MAX_PIXELS, path, field, size)
            yield image
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise DataError(
            "image_unreadable",
            f"{path.name} cannot be read as an image: {str(error).splitlines()[0][:200] if str(error) else 'damaged'}. "
            "Repair or remove it.",
            field=field,
            file=str(path),
        ) from None


def _require(small: bool, path: Path, field: str, why: str) -> None:
    if small:
        return
    raise DataError(
        "image_too_large",
        f"{path.name} {why}; it is not decoded. Resize it to what the model takes.",
        field=field,
        file=str(path),
    )


def _pixels(image: Image.Image, channels: int) -> Array:
    """(height, width, channels) uint8; of 16 bits the upper ones are read, of an animation the first frame."""
    if image.mode.startswith("I;16"):
        grey = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return _pixels(grey, channels)
    return np.asarray(image.convert(MODES[channels])).reshape(image.height, image.width, channels)


def resized(pixels: Array, height: int, width: int) -> Array:
    """Bilinear between pixel centres, without antialiasing: what `tf.image.resize` gives by default.

    Args:
        pixels: (rows, columns, channels).
        height: wanted.
        width: wanted.

    Returns:
        (height, width, channels) float32.
    """
    if pixels.shape[:2] == (height, width):
        return pixels.astype(np.float32)
    above, below, down = _neighbours(pixels.shape[0], height)
    left, right, across = _neighbours(pixels.shape[1], width)
    down, across = down[:, None, None], across[None, :, None]
    # a large image stays in bytes; only what is wanted of it becomes floating point
    top, bottom = pixels[above].astype(np.float32), pixels[below].astype(np.float32)
    upper = top[:, left] + (top[:, right] - top[:, left]) * across
    lower = bottom[:, left] + (bottom[:, right] - bottom[:, left]) * across
    return np.asarray(upper + (lower - upper) * down)


def _neighbours(size: int, wanted: int) -> tuple[Array, Array, Array]:
    """The two source positions of every wanted one, and how far it lies towards the second."""
    centre = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
    first = np.floor(centre)
    share = (centre - first).astype(np.float32)
    places = np.clip(np.stack([first, first + 1]), 0, size - 1).astype(int)
    return places[0], places[1], share
