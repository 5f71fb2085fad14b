"""What the labels of an image mean, and what a user must know of them."""

from __future__ import annotations

import numpy as np

from napari_flomo.measures import HeartCodes, HeartMeasures, heart_of_cine, implausible
from napari_flomo.session.image_state import OpenImage


def heart_of(image: OpenImage) -> HeartMeasures | None:
    """Measure the labels of an image as they are now; see `Session.measures`."""
    if image.segmentation is None or image.counts is None:
        return None
    codes = HeartCodes.of(image.segmentation.card.labels)
    if codes is None:
        return None
    done = np.isfinite(image.segmentation.slice_scores)
    whole = np.flatnonzero(done.all(1)).tolist()
    frames = whole or np.flatnonzero(done.any(1)).tolist()
    return heart_of_cine(image.counts, codes, frames, complete=bool(whole))


def remarks_of(image: OpenImage) -> tuple[str, ...]:
    """Return remarks about an image and its labels, a sentence each.

    They are what its reader had to decide, and what is implausible about the segmentation.
    """
    if image.segmentation is None:
        return image.volume.notes
    done = np.isfinite(image.segmentation.slice_scores)
    whole = np.flatnonzero(done.all(1)).tolist()
    found = implausible(
        image.segmentation.labels, image.segmentation.card, whole, complete=bool(whole)
    )
    return (*image.volume.notes, *found)
