"""Which axis of a stored image runs from slice to slice.

Programs that reorient images, such as to RAS, put the slices of an oblique stack on any axis of the
file. The steps and lengths of the axes tell which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import Volume

AXIS_NAMES = ("i", "j", "k")
"""The axes of a file from the fastest to the slowest, as nibabel and 3D Slicer count them."""

LARGER_STEP = 1.5
"""Smallest ratio of the slice step to the other steps; the sides of a pixel differ by less."""

FEWER_SAMPLES = 0.5
"""Largest ratio of the number of slices to rows and columns: a stack with cubic voxels covers 60 to
120 mm through the plane and 250 to 400 mm in it."""

Order = tuple[int, int, int]
"""For each axis of the result, the axis of the array that it comes from."""


def find_slice_axis(steps: Sequence[float], lengths: Sequence[int]) -> int | None:
    """Return the index of the slice axis, None if it is ambiguous.

    It is the only axis of length 1, else the axis with a clearly larger step (mm) than the others,
    else the axis with clearly fewer samples. It is ambiguous if the largest step and the fewest
    samples belong to different axes.
    """
    single = [axis for axis in range(3) if lengths[axis] == 1]
    if len(single) == 1:
        return single[0]
    by_step = sorted(range(3), key=lambda axis: -steps[axis])
    by_length = sorted(range(3), key=lambda axis: lengths[axis])
    coarse = steps[by_step[0]] >= LARGER_STEP * steps[by_step[1]]
    few = lengths[by_length[0]] <= FEWER_SAMPLES * lengths[by_length[1]]
    if coarse and few:
        return by_step[0] if by_step[0] == by_length[0] else None
    if coarse:
        return by_step[0]
    return by_length[0] if few else None


def arrange(volume: Volume, slice_axis: str | None = None) -> Volume:
    """Move the slice axis of a volume to the front, without copying voxels.

    Parameters
    ----------
    volume
        With axes as stored, or already arranged.
    slice_axis
        Name of the stored slice axis, one of `AXIS_NAMES`; by default it is found by
        steps and lengths.

    Returns
    -------
    Volume
        Its ``storage`` is the stored order. If the slice axis is ambiguous, the stored order is
        kept and ``slice_axis_known`` is False.

    Raises
    ------
    FlomoError
        If there is no axis of that name.
    """
    stored = in_stored_order(volume)
    axis: int | None = 0
    if slice_axis is not None:
        if slice_axis not in AXIS_NAMES:
            raise FlomoError(f"The slice axis is i, j or k, not {slice_axis!r}.")
        axis = 2 - AXIS_NAMES.index(slice_axis)
    elif stored.geometry.spacing_known:
        axis = find_slice_axis(stored.geometry.spacing[::-1], stored.spatial_shape)
    first, second = (other for other in range(3) if other != (axis or 0))
    order = (axis or 0, first, second)
    if order == volume.storage and volume.slice_axis_known == (axis is not None):
        return volume
    return replace(
        stored,
        data=transposed(stored.data, order, stored.axes.index("slices")),
        geometry=permuted(stored.geometry, order),
        storage=order,
        slice_axis_known=axis is not None,
    )


def in_stored_order(volume: Volume) -> Volume:
    """Return a volume with its axes in the order in which it was stored, without copying."""
    if volume.storage == (0, 1, 2):
        return volume
    back = inverse(volume.storage)
    return replace(
        volume,
        data=transposed(volume.data, back, volume.axes.index("slices")),
        geometry=permuted(volume.geometry, back),
        storage=(0, 1, 2),
    )


def slice_axis_note(volume: Volume) -> str:
    """Return a note about the slice axis of a file."""
    name = AXIS_NAMES[2 - volume.storage[0]]
    step = volume.geometry.spacing[2]
    return (
        f"The {volume.n_slices} slices lie along the axis {name} of the file, {step:.3g} mm apart; "
        "results are stored in the order of the file."
    )


def ask_for_axis(volume: Volume) -> str:
    """Return an error message about an ambiguous slice axis."""
    stored = in_stored_order(volume)
    axes = [
        f"{name} has {length} samples of {step:.3g} mm"
        for name, length, step in zip(
            AXIS_NAMES, stored.spatial_shape[::-1], stored.geometry.spacing, strict=True
        )
    ]
    return (
        "It is not clear along which axis of the image the slices lie: "
        f"{axes[0]}, {axes[1]} and {axes[2]}; choose one (flomo segment --slice-axis i, j or k; "
        "slice_axis in Python; 'Slices along' in the panel)."
    )


def permuted(geometry: Geometry, order: Order) -> Geometry:
    """Return the same grid with its axes in another order.

    Parameters
    ----------
    geometry
        A grid.
    order
        In array order, as for `transposed`.
    """
    columns = [2 - axis for axis in order[::-1]]  # a geometry counts columns, rows, slices
    matrix = geometry.direction_matrix[:, columns]
    x, y, z = (geometry.spacing[axis] for axis in columns)
    return replace(geometry, spacing=(x, y, z), direction=tuple(matrix.ravel().tolist()))


def transposed(data: NDArray[Any], order: Order, first: int) -> NDArray[Any]:
    """Return a view of an array with three of its axes in another order.

    Parameters
    ----------
    data
        Any array.
    order
        For each of the three axes of the result, the axis of the array.
    first
        Position of the three axes.
    """
    axes = list(range(data.ndim))
    axes[first : first + 3] = [first + axis for axis in order]
    return np.transpose(data, axes)


def inverse(order: Order) -> Order:
    """Return the inverse of an order."""
    return order.index(0), order.index(1), order.index(2)
