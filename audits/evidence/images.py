"""Images, however a file lays them out, and the ways in which they get turned, mirrored and reshuffled."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np

from audits.artefacts import Array, Rows
from audits.evidence.features import BLOCK_IMAGES, MAX_CHANNELS, FeatureSpace
from audits.statistics.gaussian import LowRankGaussian

# A picture of fewer pixels along a side has no up and no down.
MIN_SIDE = 3
COLOURS = {3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}
TURNS = {1: "90 degrees counter-clockwise", 2: "180 degrees", 3: "90 degrees clockwise"}
MIRRORS = {
    0: "mirror {images} left to right",
    1: "exchange the rows and the columns of {images}",
    2: "turn {images} upside down (mirror them top to bottom)",
    3: "mirror {images} along the diagonal from lower left to upper right",
}
# More channels have too many orders for each to be held against each symmetry.
MAX_COMBINED_CHANNELS = 3
# Values of a reduced image: a covariance of so many columns is fitted in some hundredths of a second.
MAX_REDUCED = 300
# More images sharpen it no further.
MAX_FITTED = 1_500
LARGEST = 1e100


@dataclass(frozen=True)
class ImageForm:
    """How one row of a split is an image.

    Attributes:
        height, width, channels: of an image.
        row_shape: of a row as it is stored.
        channels_first: whether a row is (channels, height, width).
    """

    height: int
    width: int
    channels: int
    row_shape: tuple[int, ...]
    channels_first: bool = False

    @classmethod
    def of(cls, space: FeatureSpace, rows: Rows) -> "ImageForm | None":
        """The form, or None where the rows are no images of a side of at least three pixels."""
        if space.layout != "image" or not isinstance(rows, np.ndarray):
            return None
        shape = rows.shape[1:]
        if len(shape) == 2:
            form = cls(*shape, 1, shape)
        elif len(shape) == 3 and shape[-1] <= MAX_CHANNELS:
            form = cls(*shape, shape)
        elif len(shape) == 3 and shape[0] <= MAX_CHANNELS:
            form = cls(shape[1], shape[2], shape[0], shape, channels_first=True)
        else:
            return None
        return form if min(form.height, form.width) >= MIN_SIDE else None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def images(self, rows: Array) -> Array:
        """(rows, height, width, channels), a view of the rows."""
        if self.channels_first:
            return np.moveaxis(rows, 1, -1)
        return rows.reshape(len(rows), *self.shape)

    def rows(self, images: Array) -> Array:
        """Images as the rows are stored."""
        stored = np.moveaxis(images, -1, 1) if self.channels_first else images
        return np.ascontiguousarray(stored).reshape(len(images), *self.row_shape)

    @cached_property
    def symmetries(self) -> tuple["Operation", ...]:
        """The turns and mirrors that keep the shape, without the identity: seven for a square, else three."""
        turns = range(4) if self.height == self.width else (0, 2)
        every = [Operation(turn, mirrored) for mirrored in (False, True) for turn in turns]
        return tuple(operation for operation in every if operation != Operation())

    @cached_property
    def channel_orders(self) -> tuple["Operation", ...]:
        """Every other order of the channels."""
        orders = list(permutations(range(self.channels)))[1:]
        return tuple(Operation(channels=order) for order in orders)

    @cached_property
    def memory_orders(self) -> tuple["Operation", ...]:
        """Images that were reshaped where their axes should have been exchanged."""
        order = "channels last" if self.channels_first else "channels first"
        orders = [order] if self.channels > 1 else []
        orders += ["sides"] if self.height != self.width else []
        return tuple(Operation(memory=order) for order in orders)

    @cached_property
    def simple(self) -> tuple["Operation", ...]:
        return self.symmetries + self.channel_orders + self.memory_orders

    @cached_property
    def operations(self) -> tuple["Operation", ...]:
        """The simple ones, and each symmetry together with each order of few channels."""
        if self.channels > MAX_COMBINED_CHANNELS:
            return self.simple
        both = (Operation(s.turns, s.mirrored, o.channels) for s in self.symmetries for o in self.channel_orders)
        return self.simple + tuple(both)


@dataclass(frozen=True)
class Operation:
    """A change of an image that keeps every value: read the memory anew, mirror, turn, reorder the channels.

    Attributes:
        turns: by so many quarters counter-clockwise.
        mirrored: left to right, before it is turned.
        channels: channel i gets the values of channel `channels[i]`; empty for none.
        memory: what the values in their stored order really are: "channels first", "channels last" or "sides" (width
            before height), where they were merely reshaped to what they should be; empty for none.
    """

    turns: int = 0
    mirrored: bool = False
    channels: tuple[int, ...] = ()
    memory: str = ""

    def __call__(self, images: Array) -> Array:
        """The changed images, (images, height, width, channels), perhaps a view."""
        images = self._reread(images)
        if self.mirrored:
            images = images[:, :, ::-1]
        if self.turns:
            images = np.rot90(images, self.turns, axes=(1, 2))
        return images[..., list(self.channels)] if self.channels else images

    def _reread(self, images: Array) -> Array:
        n, height, width, channels = images.shape
        if self.memory == "channels first":
            return images.reshape(n, channels, height, width).transpose(0, 2, 3, 1)
        if self.memory == "channels last":
            return images.transpose(0, 3, 1, 2).reshape(n, height, width, channels)
        if self.memory == "sides":
            return images.reshape(n, width, height, channels).swapaxes(1, 2)
        return images

    def words(self, form: ImageForm, images: str = "the validation images") -> str:
        """What it does, to complete "when we ..."."""
        parts = []
        if self.memory == "sides":
            parts.append(f"read the memory of {images} with width and height exchanged")
        elif self.memory:
            parts.append(f"read the memory of {images} as {self.memory}")
        if self.mirrored:
            parts.append(MIRRORS[self.turns].format(images=images))
        elif self.turns:
            parts.append(f"turn {images} by {TURNS[self.turns]}")
        if self.channels:
            parts.append(self._channel_words(form, images))
        return " and ".join(parts)

    def _channel_words(self, form: ImageForm, images: str) -> str:
        names = COLOURS.get(form.channels, tuple(str(i) for i in range(form.channels)))
        moved = [i for i, source in enumerate(self.channels) if source != i]
        if len(moved) == 2:
            return f"swap the {names[moved[0]]} and the {names[moved[1]]} channel of {images}"
        return f"read the channels of {images} in the order {', '.join(str(c) for c in self.channels)}"

    def code(self, form: ImageForm) -> list[str]:
        """Statements that change an array `x` of rows as they are stored."""
        first = form.channels_first
        lines = []
        if self.memory == "channels first":
            lines += ["n, h, w, c = x.shape", "x = x.reshape(n, c, h, w).transpose(0, 2, 3, 1)"]
        if self.memory == "channels last":
            lines += ["n, c, h, w = x.shape", "x = x.reshape(n, h, w, c).transpose(0, 3, 1, 2)"]
        if self.memory == "sides":
            place = 2 if first else 1
            lines += [
                f"shape = [x.shape[axis] for axis in {_exchanged(len(form.row_shape) + 1, place)}]",
                f"x = x.reshape(shape).swapaxes({place}, {place + 1})",
            ]
        axes = "(2, 3)" if first else "(1, 2)"
        if self.mirrored:
            lines.append(f"x = np.flip(x, axis={axes[4]})")
        if self.turns:
            lines.append(f"x = np.rot90(x, k={self.turns}, axes={axes})")
        if self.channels:
            lines.append(f"x = x[:, {list(self.channels)}]" if first else f"x = x[..., {list(self.channels)}]")
        return lines


def _exchanged(axes: int, place: int) -> list[int]:
    order = list(range(axes))
    order[place], order[place + 1] = order[place + 1], order[place]
    return order


def reduced(images: Array, max_values: int) -> Array:
    """Means of square blocks, as few as leave at most `max_values` values an image: (images, height, width, channels).

    What is left over at the sides is cut evenly, so that it makes no difference whether images are turned before
    or after.
    """
    _, height, width, channels = images.shape
    side = next(s for s in range(1, max(height, width) + 1) if (height // s) * (width // s) * channels <= max_values)
    rows, columns = max(1, height // side), max(1, width // side)
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    small = np.empty((len(images), rows, columns, channels))
    for first in range(0, len(images), BLOCK_IMAGES):  # as float64, all of them would fill the memory
        block = images[first : first + BLOCK_IMAGES]
        cut = block[:, top : top + rows * side, left : left + columns * side].astype(np.float64)
        blocks = cut.reshape(len(block), rows, side, columns, side, channels)
        small[first : first + BLOCK_IMAGES] = blocks.mean(axis=(2, 4))
    return small


@dataclass(frozen=True)
class Distances:
    """How far images lie from the typical ones.

    Attributes:
        as_is: (images,) in root mean square deviations.
        changed: (operations, images) after each operation.
    """

    as_is: Array
    changed: Array


@dataclass(frozen=True)
class Typical:
    """What images of a kind look like, reduced to a few hundred values.

    Attributes:
        form: of the images.
        grid: (height, width, channels) of a reduced image.
        gaussian: of the reduced images.
    """

    form: ImageForm
    grid: tuple[int, ...]
    gaussian: LowRankGaussian

    @classmethod
    def of(cls, form: ImageForm, rows: Array) -> "Typical":
        small = _finite(reduced(form.images(rows[:MAX_FITTED]), MAX_REDUCED))
        return cls(form, small.shape[1:], LowRankGaussian.fitted(small.reshape(len(small), -1)))

    def distances(self, rows: Array, operations: Sequence[Operation] | None = None) -> Distances:
        """Of the rows as they are, and after every operation (by default, all that the form admits)."""
        images = self.form.images(rows)
        small = self._flat(reduced(images, MAX_REDUCED))
        places = np.arange(small.shape[1]).reshape(1, *self.grid)
        after = [
            self.gaussian.distances(self._flat(reduced(operation(images), MAX_REDUCED)))
            if operation.memory
            else self.gaussian.distances(small, operation(places).ravel())
            for operation in (self.form.operations if operations is None else operations)
        ]
        return Distances(self.gaussian.distances(small), np.array(after))

    def _flat(self, small: Array) -> Array:
        return _finite(small).reshape(len(small), -1)


def _finite(images: Array) -> Array:
    """Holes, and what overflows when squared, as the typical value of all."""
    usable = np.abs(images) < LARGEST
    return images if usable.all() else np.where(usable, images, np.median(images[usable]) if usable.any() else 0.0)


def fine_detail(rows: Array, form: ImageForm) -> float | None:
    """The share of the images' variation that lies between neighbouring pixels; None where they do not vary.

    About 0 for smooth images, 1 for pixels that know nothing of each other; brightness and contrast do not matter.
    Half the mean squared difference of neighbours over the mean variance within an image.
    """
    images = form.images(rows[:MAX_FITTED]).astype(np.float64)
    images = images[np.isfinite(images).all(axis=(1, 2, 3))]
    if not len(images):
        return None
    steps = [np.square(np.diff(images, axis=axis)).mean() / 2 for axis in (1, 2)]
    variance = float(images.var(axis=(1, 2)).mean())
    return float(np.mean(steps)) / variance if variance > 0 else None
