"""What work of a person a run would overwrite."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from napari_flomo.session.changes import changes_of
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


def overwritten_by(image: OpenImage, scope: Scope) -> Overwritten:
    """Return the slices that a person corrected or accepted and that a run would overwrite."""
    if image.review is None:
        return Overwritten()
    corrected = changes_of(image) > 0
    inside = scope.mask(*corrected.shape)
    accepted = frozenset(
        index
        for index in image.review.order
        if inside[index] and image.review.state(index) is SliceState.ACCEPTED
    )
    places = {SliceIndex(*map(int, place)) for place in np.argwhere(corrected & inside)}
    return Overwritten(accepted, frozenset(places - accepted))


def consent(image: OpenImage, slices: Iterable[SliceIndex]) -> dict[SliceIndex, int]:
    """Return slices that a run may overwrite, each with a checksum of its labels now."""
    return {index: _checksum(image, index) for index in slices}


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
    return frozenset(one for one in found if consented.get(one) != _checksum(image, one))


def _checksum(image: OpenImage, index: SliceIndex) -> int:
    """Return a number that is another one after an edit of the slice."""
    if image.labels is None:
        return 0
    at = tuple(index) if "frames" in image.labels.axes else (index.slice,)
    return zlib.crc32(np.ascontiguousarray(image.labels.data[at]).tobytes())
