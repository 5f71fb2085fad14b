"""What a card may ask to be done to finished labels: nothing, or one piece for each structure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation.extent import box_of

TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels hang together over faces, edges and corners: across thick slices a thin wall may move
sideways by more than its own width, and face neighbours alone would cut it."""


def keep_largest_component(labels: NDArray[np.uint8], codes: Iterable[int]) -> NDArray[np.uint8]:
    """Keep the largest connected piece of every structure; the others become background.

    All voxels of a grid are equally large, so the piece with the most voxels is the largest in
    millilitres, however thick the slices are. Of two equal pieces the one that comes first in the
    array stays.

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
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            heart[box][structure & (pieces != sizes.argmax())] = 0
    return kept
