"""Labels of an image that were accepted on an earlier day."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session.review import SliceIndex
from napari_flomo.volumes import Volume


@dataclass(frozen=True, eq=False)
class EarlierLabels:
    """Slices that a reader accepted on an earlier day.

    Attributes
    ----------
    slices
        The slices.
    labels
        Their labels on the grid of the image, with the codes of its model; other slices are not
        valid. None if the model has other structures than those labels.
    day
        When they were stored last.
    model
        The model that proposed the labels then; empty if it is that of the image, or unknown.
    """

    slices: frozenset[SliceIndex]
    labels: Volume | None
    day: date
    model: str = ""


def with_slices(labels: Volume, other: Volume, slices: Collection[SliceIndex]) -> Volume:
    """Return labels with some slices taken from others on the same grid."""
    data: NDArray[np.integer] = labels.data.copy()
    target = data.reshape(labels.n_frames, *labels.spatial_shape)
    source = other.data.reshape(target.shape)
    for index in slices:
        target[index] = source[index]
    return labels.with_data(data, axes=labels.axes)
