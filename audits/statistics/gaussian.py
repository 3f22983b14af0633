"""How far rows lie from what a Gaussian with few free directions expects."""

from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array

MAX_DIRECTIONS = 40
ROWS_PER_DIRECTION = 5
# A direction of less variance than this share of the average is rounding.
MIN_VARIANCE = 1e-6


@dataclass(frozen=True)
class LowRankGaussian:
    """A Gaussian with a variance of its own along its leading directions, and one for all others.

    Reference: Tipping & Bishop, 1999, https://doi.org/10.1111/1467-9868.00196

    Attributes:
        mean: (columns,).
        directions: (columns, directions), orthonormal.
        variances: (directions,) along them.
        rest: variance along every other direction.
    """

    mean: Array
    directions: Array
    variances: Array
    rest: float

    @classmethod
    def fitted(cls, rows: Array) -> "LowRankGaussian":
        """The Gaussian of (rows, columns), finite, of at least two rows."""
        n, columns = rows.shape
        mean = rows.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False).reshape(columns, columns))
        values = np.maximum(values[::-1], 0.0)
        floor = max(MIN_VARIANCE * float(values.mean()), 1e-30)
        kept = max(1, min(MAX_DIRECTIONS, n // ROWS_PER_DIRECTION, columns - 1))
        rest = max(float(values[kept:].mean()) if columns > kept else 0.0, floor)
        return cls(mean, vectors[:, ::-1][:, :kept], np.maximum(values[:kept], floor), rest)

    def distances(self, rows: Array, source: Array | None = None) -> Array:
        """(rows,) root mean square distance in standard deviations; about 1 for rows of this Gaussian.

        Args:
            rows: (rows, columns), finite.
            source: (columns,) the column that stands in each place, where the rows are to be rearranged first.
        """
        # instead of rearranging the rows, the Gaussian is rearranged the other way
        mean, directions = self.mean, self.directions
        if source is not None:
            mean, directions = np.empty_like(mean), np.empty_like(directions)
            mean[source], directions[source] = self.mean, self.directions
        centred = rows - mean
        along = np.square(centred @ directions)
        across = np.maximum(np.square(centred).sum(axis=1) - along.sum(axis=1), 0.0)
        squared = (along / self.variances).sum(axis=1) + across / self.rest
        return np.asarray(np.sqrt(squared / len(mean)))
