"""Labels of an image that were accepted on an earlier day."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session.review import SliceIndex
from napari_flomo.volumes import Volume


@dataclass(frozen=True, eq=False)
class EarlierLabels:
    """Slices that a reader accepted on an earlier day, and their labels on the grid of the image.

    Only these slices of the labels are valid.
    """

    slices: frozenset[SliceIndex]
    labels: Volume

    def differing(self, labels: Volume) -> frozenset[SliceIndex]:
        """Return the slices whose labels are others now."""
        now = labels.data.reshape(labels.n_frames, *labels.spatial_shape)
        then = self.labels.data.reshape(now.shape)
        return frozenset(
            index for index in self.slices if not np.array_equal(now[index], then[index])
        )

    def over(self, labels: Volume) -> Volume:
        """Return labels with these slices as they were then."""
        return with_slices(labels, self.labels, self.slices)


def with_slices(labels: Volume, other: Volume, slices: Collection[SliceIndex]) -> Volume:
    """Return labels with some slices taken from others on the same grid."""
    data: NDArray[np.integer] = labels.data.copy()
    target = data.reshape(labels.n_frames, *labels.spatial_shape)
    source = other.data.reshape(target.shape)
    for index in slices:
        target[index] = source[index]
    return labels.with_data(data, axes=labels.axes)
