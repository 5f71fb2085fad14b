"""Labels that a viewer shows beside the reviewed ones, such as a duplicate of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.5
"""Labels are a copy if they have at least this share of the labelled voxels of an image."""


def is_copy(labels: NDArray[np.integer], reviewed: NDArray[np.integer]) -> bool:
    """Return True if labels are a copy of the reviewed ones, on which strokes may be missed.

    Both have the same shape.
    """
    labelled = reviewed != 0
    alike = np.count_nonzero((labels == reviewed) & labelled)
    return bool(alike >= ALIKE * np.count_nonzero(labelled))
