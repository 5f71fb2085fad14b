"""Postprocessing of labels that a card may require."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation.bounding_box import box_of


def keep_largest_component(labels: NDArray[np.uint8], codes: Iterable[int]) -> NDArray[np.uint8]:
    """Return ``(slices, rows, columns)`` with only the largest component of every structure.

    The largest is the one with the largest area as seen from the side: the sum over slices of the
    square root of its area in each. A part of a heart runs through several slices, whereas a false
    positive beyond the base lies in one or two and may have more voxels than a small ventricle at
    end-systole. Of two components of equal size the first in the array stays.

    Voxels are connected over faces, edges and corners: across thick slices a thin wall may move
    sideways by more than its own width.
    """
    kept = labels.copy()
    rows, columns = box_of(labels)
    heart = kept[:, rows, columns]
    if heart.size == 0:
        return kept
    from skimage.measure import label  # takes a third of a second to import

    components, count = label(heart, connectivity=3, return_num=True)
    sizes = size_from_the_side(components, count)
    code_of = np.zeros(count + 1, labels.dtype)
    code_of[components] = heart
    keep = np.ones(count + 1, bool)
    for code in codes:
        own = np.flatnonzero(code_of == code)
        if len(own) > 1:
            keep[own] = own == own[sizes[own].argmax()]
    heart[~keep[components]] = 0
    return kept


def size_from_the_side(components: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """Return the size of each component as seen from the side, in pixels, ``(count + 1,)``."""
    areas = [np.bincount(one.ravel(), minlength=count + 1) for one in components]
    sizes: NDArray[np.float64] = np.sqrt(areas).sum(0)
    return sizes
