"""What a card may ask to be done to finished labels: nothing, or one piece for each structure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation.bounding_box import box_of

TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels hang together over faces, edges and corners: across thick slices a thin wall may move
sideways by more than its own width, and face neighbours alone would cut it."""


def keep_largest_component(labels: NDArray[np.uint8], codes: Iterable[int]) -> NDArray[np.uint8]:
    """Keep the largest connected piece of every structure; the others become background.

    The largest is the one that shows the largest area from the side: the sum over slices of the
    square root of its area in each. A part of a heart runs through several slices; what a network
    takes for it beyond the base lies in one or two, and may have more voxels than a small ventricle
    at end-systole. In a single slice the order is that of the voxels. Of two equal pieces the one
    that comes first in the array stays.

    Parameters
    ----------
    labels
        One frame ``(slices, rows, columns)``; it is not changed.
    codes
        Values of the structures.

    Returns
    -------
    NDArray
        Of the same shape, a new array.
    """
    kept = labels.copy()
    rows, columns = box_of(labels)
    heart = kept[:, rows, columns]
    if heart.size == 0:
        return kept
    from scipy import ndimage  # takes a third of a second to import

    boxes = dict(enumerate(ndimage.find_objects(heart), start=1))
    for code in codes:
        box = boxes.get(code)
        if box is None:
            continue
        structure = heart[box] == code
        pieces, count = ndimage.label(structure, TOUCHING)
        if count > 1:
            largest = 1 + seen_from_the_side(pieces, count).argmax()
            heart[box][structure & (pieces != largest)] = 0
    return kept


def seen_from_the_side(pieces: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Return how large each piece looks from the side, in pixels, ``(count,)``.

    Parameters
    ----------
    pieces
        ``(slices, rows, columns)``, numbered from 1; 0 is none.
    count
        Of the pieces.
    """
    areas = [np.bincount(piece.ravel(), minlength=count + 1)[1:] for piece in pieces]
    sizes: NDArray[np.float64] = np.sqrt(areas).sum(0)
    return sizes
