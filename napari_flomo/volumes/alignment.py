"""Align labels with their image.

dcm2niix, ITK-SNAP, SimpleITK and nibabel store rows, columns and slices in different orders and
directions, with different rounding. Labels are brought into the storage order of their image if
their voxels coincide, and rejected otherwise: they are never resampled.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

LARGEST_SHIFT = 0.1
"""Largest distance between the centres of corresponding voxels, in voxels of the image."""

LARGEST_FRACTION = 0.01
"""Largest distance of a label from a whole number, for example after scaling by a header."""


def align_labels(labels: Volume, image: Volume) -> Volume:
    """Return labels in the storage order and with the exact geometry of an image.

    Rows, columns and slices may be stored in any order and direction. If neither spacing is known,
    as for photos, only the shapes must be equal.

    Parameters
    ----------
    labels
        Whole numbers, or floats close to them (see `whole_labels`), with frames or without.
    image
        The image, possibly with channels; its voxels are not read.

    Returns
    -------
    Volume
        Integers with the axes of the image without channels, and its geometry.

    Raises
    ------
    FlomoError
        If the labels are not whole numbers, have another size, or lie more than a tenth of a voxel
        away from the image anywhere.
    """
    labels = whole_labels(labels)
    if strange := set(labels.axes) & {"channels", "classes"}:
        raise FlomoError(f"Labels cannot have {' and '.join(sorted(strange))}; give one code each.")
    if labels.n_frames != image.n_frames:
        raise FlomoError(_other_size(labels, image))
    order = _storage(labels, image)
    axes = tuple(name for name in image.axes if name not in ("channels", "classes"))
    data = labels.data.reshape(labels.n_frames, *labels.spatial_shape)
    data = data.transpose(0, *(1 + axis for axis, _ in order))
    data = data[(slice(None), *(slice(None, None, -1 if flip else 1) for _, flip in order))]
    data = np.ascontiguousarray(data).reshape([image.length(name) for name in axes])
    return replace(
        labels,
        data=data,
        axes=axes,
        geometry=image.geometry,
        frame_step=image.frame_step if "frames" in axes else None,
        extra=image.extra,
        storage=image.storage,
        slice_thickness=image.slice_thickness,
        heart_cycles=image.heart_cycles,
    )


def whole_labels(labels: Volume) -> Volume:
    """Return labels as integers: some programs save them as floats, or with scaling.

    Raises
    ------
    FlomoError
        If one lies more than a hundredth from a whole number.
    """
    if labels.data.dtype.kind in "iu":
        return labels
    whole = np.rint(labels.data)
    if not np.isfinite(whole).all():
        raise FlomoError("The labels are not whole numbers: some are NaN or infinite; repair them.")
    far = float(np.abs(labels.data - whole).max())
    if far > LARGEST_FRACTION:
        raise FlomoError(
            f"The labels are not whole numbers: one is {far:.2g} away from the next; give labels, "
            "not probabilities or grey values, and resample them without interpolation."
        )
    return replace(labels, data=whole.astype(np.int64))


def same_place(first: Volume, second: Volume) -> bool:
    """Return True if two images share one grid and storage, up to a tenth of a voxel."""
    if first.spatial_shape != second.spatial_shape:
        return False
    if not (first.geometry.spacing_known and second.geometry.spacing_known):
        return first.geometry.spacing_known == second.geometry.spacing_known
    straight = tuple((axis, False) for axis in range(3))
    shift = _shift(first.geometry, second.geometry, second.spatial_shape, straight)
    return bool(shift.max() <= LARGEST_SHIFT)


AxisMapping = tuple[tuple[int, bool], ...]
"""For each array axis of the image the array axis of the labels, and whether it is reversed."""


def _storage(labels: Volume, image: Volume) -> AxisMapping:
    """Return the mapping of array axes from the image to the labels, or raise."""
    straight: AxisMapping = tuple((axis, False) for axis in range(3))
    known = labels.geometry.spacing_known, image.geometry.spacing_known
    if not all(known):
        if labels.spatial_shape != image.spatial_shape:
            raise FlomoError(_other_size(labels, image))
        if any(known):
            which = "labels do" if known[1] else "image does"
            raise FlomoError(
                f"The labels do not fit the image: the {which} not have a spacing; save both with "
                "their spacing and position."
            )
        return straight
    fitting = [
        order
        for order in _candidates(labels.geometry, image.geometry)
        if tuple(labels.spatial_shape[axis] for axis, _ in order) == image.spatial_shape
    ]
    if not fitting:
        raise FlomoError(_other_size(labels, image))
    shape = image.spatial_shape
    shifts = [_shift(labels.geometry, image.geometry, shape, order) for order in fitting]
    best, least = min(zip(fitting, shifts, strict=True), key=lambda pair: float(pair[1].max()))
    if least.max() > LARGEST_SHIFT * (1 + 1e-6):
        mm = float(least.max() * image.geometry.spacing[::-1][int(least.argmax())])
        raise FlomoError(
            f"The labels do not fit the image: they are shifted by up to {least.max():.3g} voxels "
            f"({mm:.3g} mm), or have another spacing; use the labels of this image, or resample "
            "them to it."
        )
    return best


def _candidates(labels: Geometry, image: Geometry) -> list[AxisMapping]:
    """Return the most plausible axis mappings, best first."""
    # Array axes are in reverse order of the axes of a geometry.
    cosines = (image.direction_matrix.T @ labels.direction_matrix)[::-1, ::-1]
    orders = sorted(
        permutations(range(3)),
        key=lambda order: -sum(abs(float(cosines[i, axis])) for i, axis in enumerate(order)),
    )
    return [
        tuple((axis, bool(cosines[i, axis] < 0)) for i, axis in enumerate(order))
        for order in orders[:2]  # the second for grids rotated by 45 degrees
    ]


def _shift(
    labels: Geometry, image: Geometry, shape: tuple[int, int, int], order: AxisMapping
) -> NDArray[np.float64]:
    """Return the largest distance of a voxel along each array axis of the image, in its voxels.

    The distance is linear in the index, so it is largest in a corner.
    """
    corners = np.array(np.meshgrid(*((0, length - 1) for length in shape), indexing="ij"))
    corners = corners.reshape(3, -1).T.astype(np.float64)
    stored = np.empty_like(corners)
    for axis, (source, flip) in enumerate(order):
        stored[:, source] = shape[axis] - 1 - corners[:, axis] if flip else corners[:, axis]
    world = labels.positions(stored[:, ::-1])
    inverse = np.linalg.inv(image.affine_lps())
    found = (world @ inverse[:3, :3].T + inverse[:3, 3])[:, ::-1]
    shift: NDArray[np.float64] = np.abs(found - corners).max(axis=0)
    return shift


def _other_size(labels: Volume, image: Volume) -> str:
    mine, its = (
        " x ".join(str(one.length(axis)) for axis in ("frames", *SPATIAL_AXES))
        for one in (labels, image)
    )
    return (
        f"The labels do not fit the image: they have {mine} frames, slices, rows and columns, the "
        f"image {its}; use the labels of this image."
    )
