"""Voxels without a value: what lies outside of the field of view is background.

Programs that resample or register an image write NaN where it has no data: in the corners of a
turned grid, or in slices beyond the stack. That is filled. A hole within the image is not, because
what a network makes of a heart with an invented piece says nothing about that heart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.volume import Volume

SMALLEST_SHARE = 0.1
"""Part of the voxels of a frame that must have a value."""

_MIDDLE = 0.1  # of rows and columns, where a heart is expected
_SMALLEST_PIECE = 0.05  # of a slice's values, that makes NaN between two pieces a gap


def fill_background(volume: Volume, name: str = "") -> Volume:
    """Give the smallest value of an image to voxels outside of its field of view that have none.

    Outside are NaN and infinite voxels that are connected, within their slice, to the border of the
    slice, and whole slices at the ends of the stack.

    Parameters
    ----------
    volume
        An image, not labels.
    name
        What to call it in an error; its source where not given.

    Returns
    -------
    Volume
        The same object where all values are finite; else a copy with one note more.

    Raises
    ------
    FlomoError
        If there are such voxels within the image: enclosed by others, between two parts of a slice
        or in whole slices between others; in the middle of most slices, where a heart is expected;
        or if fewer than a tenth of a frame's voxels have values.
    """
    data = volume.data
    if data.dtype.kind != "f":
        return volume
    finite = np.isfinite(data)
    missing = int(data.size - np.count_nonzero(finite))
    if not missing:
        return volume
    known = finite.all(axis=-1) if "channels" in volume.axes else finite
    stacks = known.reshape(-1, *volume.spatial_shape)
    who = name or volume.source or "The image"
    for stack in stacks:
        _check(stack, who, missing, data.size)
    filled = np.where(finite, data, data[finite].min())
    note = (
        f"{missing} voxels without a value (NaN or infinite) outside of the field of view were "
        "treated as background."
        if missing > 1
        else "A voxel without a value (NaN or infinite) at the border was treated as background."
    )
    return replace(volume, data=filled, notes=(*volume.notes, note))


def _check(known: NDArray[np.bool_], who: str, missing: int, size: int) -> None:
    """Raise unless the values of one stack are all in one piece, slice by slice."""
    count = f"{who} has {missing} of {size} voxels that are not finite numbers (NaN or infinite)"
    if np.count_nonzero(known) < SMALLEST_SHARE * known.size:
        raise FlomoError(
            f"{count}, and in one frame less than a tenth has a value; export the image again, or "
            "crop it to what it holds."
        )
    filled = np.flatnonzero(known.any(axis=(1, 2)))
    between = np.arange(filled[0], filled[-1] + 1)
    empty = [index for index in between if not known[index].any()]
    holes = [index for index in filled if not known[index].all() and _has_gap(known[index])]
    if inside := sorted([*empty, *holes]):
        raise FlomoError(
            f"{count}, some of them within the image (slice {inside[0]}, counted from 0), where a "
            "value cannot be guessed; replace them, or leave such slices out, and open it again."
        )
    middle = known[filled][(slice(None), *map(_middle, known.shape[1:]))]
    if np.count_nonzero(~middle.all(axis=(1, 2))) > len(filled) / 2:
        raise FlomoError(
            f"{count}, also in the middle of most slices, where the heart is expected; crop the "
            "image to what it holds, or export it again."
        )


def _middle(length: int) -> slice:
    """Return the indices in the middle of an axis."""
    half = max(length * _MIDDLE, 1) / 2
    return slice(int(np.floor(length / 2 - half)), int(np.ceil(length / 2 + half)))


def _has_gap(known: NDArray[np.bool_]) -> bool:
    """Tell whether pixels without a value lie within a slice, or between two parts of it."""
    from scipy import ndimage

    around = np.ones((3, 3))  # a diagonal line of such pixels is one piece, and parts the others
    unknown, count = ndimage.label(~known, structure=around)
    border = np.concatenate([unknown[0], unknown[-1], unknown[:, 0], unknown[:, -1]])
    if np.setdiff1d(np.arange(1, count + 1), border).size:
        return True
    pieces, count = ndimage.label(known)
    sizes: NDArray[Any] = np.bincount(pieces.ravel())[1:]
    return int((sizes > _SMALLEST_PIECE * sizes.sum()).sum()) > 1
