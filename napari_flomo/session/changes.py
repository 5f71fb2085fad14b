"""How much a person changed of what the network proposed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import SliceIndex


def count_changes(labels: NDArray[Any], proposed: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many pixels differ in each slice.

    The last two axes of both arrays, rows and columns, are those of a slice; the others remain.
    """
    return np.asarray(np.count_nonzero(labels != proposed, axis=(-2, -1)), np.int64)


def changes_of(image: OpenImage) -> NDArray[np.int64]:
    """Return how many pixels of each slice a person changed: ``(frames, slices)``."""
    shape = (image.volume.n_frames, image.volume.n_slices)
    if image.labels is None or image.segmentation is None:
        return np.zeros(shape, np.int64)
    return count_changes(image.labels.data, image.segmentation.labels.data).reshape(shape)


def update_edits(image: OpenImage, index: SliceIndex | None = None) -> None:
    """Count the edits in the review of an image again, all or those of one slice."""
    if image.review is None or image.labels is None or image.segmentation is None:
        return
    if index is None:
        image.review.set_edits(changes_of(image))
        return
    at = tuple(index) if "frames" in image.labels.axes else (index.slice,)
    labels, proposed = image.labels.data[at], image.segmentation.labels.data[at]
    image.review.set_edits(count_changes(labels, proposed), index)
