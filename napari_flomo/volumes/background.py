"""Fill voxels without a value outside the field of view.

Programs that resample or register an image write NaN where it has no data: in the corners of a
rotated grid, or in slices beyond the stack. Holes within the image are not filled, as labels of
invented voxels would be meaningless.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.volume import Volume

SMALLEST_SHARE = 0.1
"""Fraction of the voxels of a frame that must have a value."""

_MIDDLE = 0.1  # of rows and columns, where a heart is expected
_SMALLEST_PIECE = 0.05  # of a slice's values; smaller pieces may be separate


class MissingValues(FlomoError):
    """Voxels within an image have no value (NaN or infinite).

    Attributes
    ----------
    volume
        The image, unchanged.
    """

    def __init__(self, message: str, volume: Volume) -> None:
        super().__init__(message)
        self.volume = volume


def fill_background(volume: Volume, name: str = "", *, everywhere: bool = False) -> Volume:
    """Fill voxels outside the field of view with the smallest value of the image.

    Outside are NaN and infinite voxels connected, within their slice, to the border of the slice,
    and whole slices at the ends of the stack.

    Parameters
    ----------
    volume
        An image, not labels.
    name
        Name of the image in errors; by default its source.
    everywhere
        Whether to fill all voxels without a value, as the user of the image decided.

    Returns
    -------
    Volume
        The same object if all values are finite, else a copy with an additional note.

    Raises
    ------
    MissingValues
        If such voxels lie within the image: enclosed by others, between two parts of a slice, in
        whole slices between others, or in the middle of most slices, where a heart is expected; or
        if fewer than a tenth of the voxels of a frame have a value. With ``everywhere``, only if
        none has one.
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
    try:
        for stack in [] if everywhere and known.any() else stacks:
            _check(stack, who, missing, data.size)
    except FlomoError as error:
        raise MissingValues(str(error), volume) from None
    filled = np.where(finite, data, data[finite].min())
    note = (
        f"{missing} voxels without a value (NaN or infinite) "
        f"{'' if everywhere else 'outside the field of view '}were treated as background."
        if missing > 1
        else "A voxel without a value (NaN or infinite) at the border was treated as background."
    )
    return replace(volume, data=filled, notes=(*volume.notes, note))


def _check(known: NDArray[np.bool_], who: str, missing: int, size: int) -> None:
    """Raise unless the values of each slice of a stack are in one piece."""
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
    """Return True if pixels without a value are enclosed in a slice or separate its parts."""
    from skimage.measure import label
    from skimage.segmentation import clear_border

    if clear_border(~known).any():
        return True
    sizes: NDArray[Any] = np.bincount(label(known, connectivity=1).ravel())[1:]
    return int((sizes > _SMALLEST_PIECE * sizes.sum()).sum()) > 1
