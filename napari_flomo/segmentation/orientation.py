"""Reorient slices for the network, so that the storage order does not matter.

A heart can be stored with any axis reversed and with rows and columns exchanged. To always show the
same pixels to the network, slices are rotated by 90 degrees and flipped until columns, rows and
slices run in directions that depend on the patient only. Results are transformed back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation.scores import Scores
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.volumes import Geometry, Order, Volume, inverse, permuted, transposed

# Directions in headers are rounded, so ties need a tolerance.
_TIE = 1e-3

# LPS direction of the base of the heart; the apex points to the left, front and feet.
_BASE = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Reorientation:
    """The transform from the axes of an image to those of the network, and back.

    Attributes
    ----------
    order
        Axes of the image that become slices, rows and columns. Slices stay slices.
    reversed
        Whether each of them is then reversed.
    """

    order: Order = (0, 1, 2)
    reversed: tuple[bool, bool, bool] = (False, False, False)

    @classmethod
    def of(cls, geometry: Geometry) -> Reorientation:
        """Return the reorientation of a grid; only its directions matter.

        In a nearly axial plane columns run to the left and rows to the back of the patient, as in a
        usual axial image. In all others columns run downwards, as nearly as one of the two axes
        does, and rows to that side from which the slices run towards the base of the heart.
        """
        matrix = geometry.direction_matrix
        first, second, normal = (matrix[:, axis] for axis in range(3))
        columns, rows = _columns_and_rows(first, second, normal)
        exchanged = columns is second
        wanted = _wanted(columns, rows, normal)
        order: Order = (0, 2, 1) if exchanged else (0, 1, 2)
        return cls(order, wanted)

    @property
    def is_identity(self) -> bool:
        """Whether the image needs no reorientation."""
        return self == Reorientation()

    def array(self, data: NDArray[Any], first: int = 0) -> NDArray[Any]:
        """Reorient an array; returns a view. ``first`` is the position of the slices axis."""
        return self._reverse(transposed(data, self.order, first), first)

    def restore_array(self, data: NDArray[Any], first: int = 0) -> NDArray[Any]:
        """Undo `array`; returns a view."""
        return transposed(self._reverse(data, first), inverse(self.order), first)

    def volume(self, volume: Volume) -> Volume:
        """Reorient an image with its grid, without copying voxels."""
        if self.is_identity:
            return volume
        first = volume.axes.index("slices")
        data = self.array(volume.data, first)
        geometry = permuted(volume.geometry, self.order)
        for axis, length in enumerate(data.shape[first : first + 3]):
            if self.reversed[axis]:
                geometry = _reversed(geometry, 2 - axis, length)
        return replace(volume, data=data, geometry=geometry, storage=(0, 1, 2), extra={})

    def slices(self, chosen: Sequence[int], count: int) -> list[int]:
        """Return the indices of slices in the reoriented image, which has ``count`` slices."""
        return [count - 1 - index if self.reversed[0] else index for index in chosen]

    def segmentation(self, found: Segmentation, image: Volume) -> Segmentation:
        """Transform the segmentation of a reoriented image to the grid of the image."""
        if self.is_identity:
            return found

        def on_image(volume: Volume) -> Volume:
            data = self.restore_array(volume.data, volume.axes.index("slices"))
            return image.with_data(np.ascontiguousarray(data), axes=volume.axes)

        return replace(
            found,
            labels=on_image(found.labels),
            probabilities=None if found.probabilities is None else on_image(found.probabilities),
            uncertainty={name: on_image(one) for name, one in found.uncertainty.items()},
            slice_scores=self._scores(found.slice_scores),
            scores=None if found.scores is None else self._all_scores(found.scores),
        )

    def _reverse(self, data: NDArray[Any], first: int) -> NDArray[Any]:
        axes = tuple(first + axis for axis in range(3) if self.reversed[axis])
        return np.flip(data, axes) if axes else data

    def _scores(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return scores, whose last axis is the slices, in the order of the image."""
        return np.ascontiguousarray(scores[..., ::-1]) if self.reversed[0] else scores

    def _all_scores(self, scores: Scores) -> Scores:
        arrays: dict[str, Any] = {
            name: self._scores(value)
            for name, value in vars(scores).items()
            if isinstance(value, np.ndarray)
        }
        return replace(scores, **arrays)


def _columns_and_rows(
    first: NDArray[np.float64], second: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return which of the two axes of a plane are its columns and its rows."""
    along = 0 if _is_axial(normal) else 2
    one, other = (axis * np.sign(axis[along] or 1) for axis in (first, second))
    # The other components decide if both lie at 45 degrees to the patient.
    for lead in (one[along] - other[along], *(one - other)):
        if abs(lead) > _TIE:
            return (first, second) if lead > 0 else (second, first)
    return first, second


def _wanted(
    columns: NDArray[np.float64], rows: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[bool, bool, bool]:
    """Return which of slices, rows and columns must be reversed."""
    if _is_axial(normal):
        other_way, upwards = columns[0] < 0, np.sign(normal[2])
    else:
        other_way, upwards = columns[2] > 0, _towards_base(normal)
    turned = -columns if other_way else columns
    # Columns, rows and slices are right-handed, and the slices run upwards or towards the base.
    rows_other_way = np.cross(turned, rows) @ normal * upwards < 0
    return bool(upwards < 0), bool(rows_other_way), bool(other_way)


def _is_axial(normal: NDArray[np.float64]) -> bool:
    x, y, z = np.abs(normal)
    return bool(z > max(x, y) - _TIE)


def _towards_base(direction: NDArray[np.float64]) -> float:
    """Return 1 for a direction towards the base of a heart, else -1."""
    for value in (direction @ _BASE, *direction):
        if abs(value) > _TIE:
            return float(np.sign(value))
    return 1.0


def _reversed(geometry: Geometry, axis: int, length: int) -> Geometry:
    """Return a grid with one of its axes, in the order of the geometry, reversed."""
    matrix = geometry.direction_matrix
    shift = matrix[:, axis] * (geometry.spacing[axis] * (length - 1))
    x, y, z = (np.array(geometry.origin) + shift).tolist()
    matrix[:, axis] *= -1
    return replace(geometry, origin=(x, y, z), direction=tuple((matrix + 0.0).ravel().tolist()))
