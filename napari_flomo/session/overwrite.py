"""What work of a person a run would overwrite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import SliceIndex, SliceState
from napari_flomo.session.scope import Scope


@dataclass(frozen=True)
class Overwritten:
    """Slices that a run would overwrite: accepted ones, and others that are corrected."""

    accepted: frozenset[SliceIndex] = frozenset()
    corrected: frozenset[SliceIndex] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.accepted or self.corrected)

    @property
    def all(self) -> frozenset[SliceIndex]:
        """All these slices."""
        return self.accepted | self.corrected


def corrected_slices(image: OpenImage) -> NDArray[np.bool_]:
    """Return which slices differ from what the network proposed: booleans ``(frames, slices)``."""
    shape = (image.volume.n_frames, image.volume.n_slices)
    if image.labels is None or image.segmentation is None:
        return np.zeros(shape, bool)
    differs: NDArray[np.bool_] = image.labels.data != image.segmentation.labels.data
    return differs.any(axis=(-2, -1)).reshape(shape)


def overwritten_by(image: OpenImage, scope: Scope) -> Overwritten:
    """Return the slices that a person corrected or accepted and that a run would overwrite."""
    if image.review is None:
        return Overwritten()
    corrected = corrected_slices(image)
    inside = scope.mask(*corrected.shape)
    accepted = frozenset(
        index
        for index in image.review.order
        if inside[index] and image.review.state(index) is SliceState.ACCEPTED
    )
    places = {SliceIndex(*map(int, place)) for place in np.argwhere(corrected & inside)}
    return Overwritten(accepted, frozenset(places - accepted))


def consent(image: OpenImage, slices: Iterable[SliceIndex]) -> dict[SliceIndex, int]:
    """Return slices that a run may overwrite, each with the edits that it has now."""
    return {index: _edits(image, index) for index in slices}


def kept_slices(
    image: OpenImage, scope: Scope, consented: Mapping[SliceIndex, int] | None
) -> frozenset[SliceIndex]:
    """Return the slices that a run must not overwrite.

    These are the corrected and accepted ones, except those of a `consent` that were not edited
    since; None means consent to everything.
    """
    if consented is None:
        return frozenset()
    found = overwritten_by(image, scope).all
    return frozenset(one for one in found if consented.get(one) != _edits(image, one))


def _edits(image: OpenImage, index: SliceIndex) -> int:
    known = image.review is not None and index in image.review.order
    return image.review.edits(index) if image.review is not None and known else 0
