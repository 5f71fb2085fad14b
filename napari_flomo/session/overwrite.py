"""What work of a person a run would overwrite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import SliceState
from napari_flomo.session.scope import Scope


@dataclass(frozen=True)
class Overwritten:
    """Numbers of slices that a run would overwrite: corrected, and only accepted ones."""

    corrected: int = 0
    accepted: int = 0

    def __bool__(self) -> bool:
        return self.corrected > 0 or self.accepted > 0


def corrected_slices(image: OpenImage) -> NDArray[np.bool_]:
    """Return which slices differ from what the network proposed: booleans ``(frames, slices)``."""
    shape = (image.volume.n_frames, image.volume.n_slices)
    if image.labels is None or image.segmentation is None:
        return np.zeros(shape, bool)
    differs: NDArray[np.bool_] = image.labels.data != image.segmentation.labels.data
    return differs.any(axis=(-2, -1)).reshape(shape)


def overwritten_by(image: OpenImage, scope: Scope) -> Overwritten:
    """Count the slices that a person corrected or accepted and that a run would overwrite."""
    if image.review is None:
        return Overwritten()
    corrected = corrected_slices(image)
    accepted = np.zeros_like(corrected)
    for index in image.review.order:
        accepted[index] = image.review.state(index) is SliceState.ACCEPTED
    inside = scope.mask(*corrected.shape)
    return Overwritten(int((corrected & inside).sum()), int((accepted & ~corrected & inside).sum()))
