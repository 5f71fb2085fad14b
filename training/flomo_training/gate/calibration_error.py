"""How far probabilities are from frequencies, where it matters: along the contours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

BINS = 15
"""Of equal width, from probability 0 to 1."""

BAND_MM = 5.0
"""Farthest distance from a contour that counts: elsewhere every network is sure and right, and the
many pixels there would make any calibration look good. In pixels where the spacing is unknown."""


def expected_calibration_error(
    probabilities: NDArray[np.floating], truth: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Return the mean distance between predicted probability and observed frequency.

    Parameters
    ----------
    probabilities
        Of one structure, any shape.
    truth
        Where it is, of the same shape.
    bins
        Number of bins of equal width; each weighs as many pixels as it holds.

    Returns
    -------
    float
        0 to 1; NaN without any pixel.
    """
    if not probabilities.size:
        return float("nan")
    values = probabilities.ravel().astype(np.float64)
    index = np.minimum((values * bins).astype(int), bins - 1)
    predicted = np.bincount(index, values, bins)
    observed = np.bincount(index, truth.ravel().astype(np.float64), bins)
    # Each bin weighs its share n / N, and n drops out: |mean p - mean y| n / N = |sums| / N.
    return float(np.abs(predicted - observed).sum() / values.size)


def contour_band(
    masks: Sequence[NDArray[np.bool_]], in_plane_spacing: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return the pixels near a contour of any of some masks, in the plane of each slice.

    Parameters
    ----------
    masks
        Each ``(slices, rows, columns)``.
    in_plane_spacing
        Step between rows and step between columns, in mm.

    Returns
    -------
    ndarray
        True within `BAND_MM` of a contour pixel; nowhere if all masks are empty.
    """
    contour = np.zeros(masks[0].shape, bool)
    for mask in masks:
        for index in np.flatnonzero(mask.any((1, 2))):
            contour[index] |= mask[index] & ~binary_erosion(mask[index])
    band = np.zeros(contour.shape, bool)
    for index in np.flatnonzero(contour.any((1, 2))):
        distance = distance_transform_edt(~contour[index], sampling=in_plane_spacing)
        band[index] = distance <= BAND_MM
    return band
