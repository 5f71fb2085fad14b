"""The band around the contours, where segmentation errors occur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BAND_MM = 5.0
"""Largest distance from a predicted or true contour: three pixels of a cardiac image, half the wall
of a ventricle. Farther pixels are nearly all easy background and would dominate any metric."""


def foreground_band(
    found: NDArray[np.integer],
    reference: NDArray[np.integer],
    in_plane_spacing: tuple[float, float],
    radius_mm: float = BAND_MM,
) -> NDArray[np.bool_]:
    """Return the pixels close to a contour of either label image, slice by slice.

    ``found`` and ``reference`` are codes ``(slices, rows, columns)``; the spacing of rows and
    columns and the in-plane radius are in mm. The mask has the same shape and is empty in slices
    without a contour.
    """
    band = np.zeros(found.shape, bool)
    for index in range(len(found)):
        edge = _edges(found[index]) | _edges(reference[index])
        if edge.any():
            distance = ndimage.distance_transform_edt(~edge, sampling=in_plane_spacing)
            band[index] = distance <= radius_mm
    return band


def _edges(codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the pixels that have a neighbour with another code."""
    edge = np.zeros(codes.shape, bool)
    rows, columns = codes[1:] != codes[:-1], codes[:, 1:] != codes[:, :-1]
    edge[1:] |= rows
    edge[:-1] |= rows
    edge[:, 1:] |= columns
    edge[:, :-1] |= columns
    return edge
