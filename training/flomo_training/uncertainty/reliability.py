"""Calibration errors and reliability diagrams.

Counts are stored in fine bins, so that those of slices, patients and strata can be added and
coarser bins be computed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flomo_training.bootstrap import divide

BINS = 15
"""Number of bins of equal width between 0 and 1."""

FINE = 100 * BINS
"""Number of bins for counting."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Histogram of pixels over the confidence of the network.

    Attributes
    ----------
    counts
        ``(..., 3, FINE)``: number of pixels, sum of their confidences, and number of right pixels.
    brier
        ``(...)``: sum over the pixels of the squared distance between class probabilities and
        truth, 0 to 2 for each pixel.
    """

    counts: Floats
    brier: Floats

    @classmethod
    def of(
        cls, confidence: NDArray[np.floating], right: NDArray[np.bool_], brier: float
    ) -> Reliability:
        """Count pixels; arguments are flat, ``brier`` is a sum."""
        place = np.clip((confidence * FINE).astype(np.int64), 0, FINE - 1)
        rows = [
            np.bincount(place, weights, FINE).astype(float) for weights in (None, confidence, right)
        ]
        return cls(np.stack(rows), np.asarray(brier, float))

    def ece(self) -> Floats:
        """Return the expected calibration error: mean of |confidence - accuracy|.

        Over bins of equal width, weighted by their pixels (Naeini et al., AAAI 2015).
        """
        coarse = self.counts.reshape(*self.counts.shape[:-1], BINS, FINE // BINS).sum(-1)
        return _error(coarse)

    def adaptive_ece(self) -> Floats:
        """Return the calibration error over bins with approximately equal numbers of pixels.

        Source: Nixon et al., CVPR workshops 2019.
        """
        flat = self.counts.reshape(-1, 3, FINE)
        errors = np.empty(len(flat))
        for index, counts in enumerate(flat):
            pixels = counts[0]
            middle = np.cumsum(pixels) - pixels / 2
            group = np.clip((middle / max(pixels.sum(), 1) * BINS).astype(int), 0, BINS - 1)
            coarse = np.stack([np.bincount(group, row, BINS) for row in counts]).astype(float)
            errors[index] = _error(coarse)
        result: Floats = errors.reshape(self.counts.shape[:-2])
        return result

    def mean_brier(self) -> Floats:
        """Return the Brier score: mean squared distance from the truth, 0 (perfect) to 2."""
        pixels = self.counts[..., 0, :].sum(-1)
        return divide(self.brier, pixels)

    def curve(self) -> tuple[Floats, Floats, Floats]:
        """Return mean confidence, accuracy and number of pixels of the coarse bins.

        For one set of counts; NaN for empty bins.
        """
        pixels, confidence, right = self.counts.reshape(3, BINS, FINE // BINS).sum(-1)
        return divide(confidence, pixels), divide(right, pixels), pixels


def _error(coarse: Floats) -> Floats:
    """Return the error of counts ``(..., 3, bins)``; NaN without any pixel."""
    pixels, confidence, right = np.moveaxis(coarse, -2, 0)
    return divide(np.abs(confidence - right).sum(-1), pixels.sum(-1))
