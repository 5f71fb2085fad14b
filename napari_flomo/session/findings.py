"""Measures of the heart, and remarks about an image and its labels."""

from __future__ import annotations

import numpy as np

from napari_flomo.measures import HeartCodes, HeartMeasures, heart_of_cine, implausible
from napari_flomo.session.image_state import OpenImage


def heart_of(image: OpenImage) -> HeartMeasures | None:
    """Measure the current labels of an image; see `Session.measures`."""
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
    """Return notes of the reader of an image, and what is implausible about its segmentation."""
    if image.segmentation is None:
        return image.volume.notes
    done = np.isfinite(image.segmentation.slice_scores)
    whole = np.flatnonzero(done.all(1)).tolist()
    found = implausible(
        image.segmentation.labels, image.segmentation.card, whole, complete=bool(whole)
    )
    return (*image.volume.notes, *found)
