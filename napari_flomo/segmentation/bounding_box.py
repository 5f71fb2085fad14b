"""Bounding boxes of labels, to skip the rest of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice]
"""Rows and columns."""


def box_of(images: NDArray[Any], margin: int = 0) -> Box:
    """Return the smallest box with all nonzero pixels of ``(slices, rows, columns)``, and a margin.

    Empty if all pixels are zero. Negative values are not supported.
    """
    flat = images.max(0, initial=0) > 0
    rows, columns = (np.flatnonzero(flat.any(axis)) for axis in (1, 0))
    if rows.size == 0:
        return slice(0, 0), slice(0, 0)
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return grown(box, margin, (flat.shape[0], flat.shape[1]))


def grown(box: Box, margin: int, shape: tuple[int, int]) -> Box:
    """Return a box with a margin in pixels on all sides, clipped to ``shape`` (rows, columns)."""
    rows, columns = (
        slice(max(0, side.start - margin), min(length, side.stop + margin))
        for side, length in zip(box, shape, strict=True)
    )
    return rows, columns
