"""Where it is decided whether a segmentation is right: the band around the contours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BAND_MM = 5.0
"""Largest distance from a contour, found or true, that belongs to the band: three pixels of a
cardiac image, half the wall of a ventricle. Beyond it nearly all is background, which is easy and
makes any figure look good."""


def foreground_band(
    found: NDArray[np.integer],
    reference: NDArray[np.integer],
    in_plane_spacing: tuple[float, float],
    radius_mm: float = BAND_MM,
) -> NDArray[np.bool_]:
    """Return the pixels close to a contour of either label image, slice by slice.

    Parameters
    ----------
    found, reference
        Codes ``(slices, rows, columns)``.
    in_plane_spacing
        Step between rows and step between columns, in mm.
    radius_mm
        Largest distance in the plane from the middle of a pixel at a contour.

    Returns
    -------
    ndarray
        The same shape; nothing in a slice without any contour.
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
