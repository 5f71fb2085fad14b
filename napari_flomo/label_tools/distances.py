"""Signed distances of structures in a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[np.float32]:
    """Return the distance in mm to the border of a mask, ``(rows, columns)``; negative inside.

    The border lies half a pixel outside the centres of its outermost pixels. ``spacing`` is in mm
    per row and column. Infinite if the mask is empty.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    import SimpleITK

    def to_mask(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
        image = SimpleITK.GetImageFromArray(inside.astype(np.uint8))
        image.SetSpacing(spacing[::-1])
        distance = SimpleITK.DanielssonDistanceMap(
            image, inputIsBinary=True, squaredDistance=False, useImageSpacing=True
        )
        result: NDArray[np.float32] = SimpleITK.GetArrayFromImage(distance)
        return result

    # Pad, so that there is an outside even if the mask fills the slice.
    padded = np.pad(mask, 1)
    half = min(spacing) / 2
    outside, inside = to_mask(padded), to_mask(~padded)
    signed = np.where(padded, half - inside, outside - half)
    return signed[1:-1, 1:-1].astype(np.float32)
