"""Voxel size and slice axis that an image layer lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume
from napari_flomo.widgets.layers import KEY, geometry_of_layer, layout_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image


def lacks_voxel_size(image: Image) -> bool:
    """Return True if the voxel size of an image is unknown."""
    volume = image.metadata.get(KEY)
    if isinstance(volume, Volume) and volume.geometry.spacing_known:
        return False
    try:
        return not (image.rgb or geometry_of_layer(image).spacing_known)
    except FlomoError:
        return False  # something else is wrong; the description of the image says what


def set_voxel_size(image: Image, voxel_mm: Sequence[float]) -> None:
    """Put millimetres of slices, rows and columns into the scale of an image layer."""
    steps = voxel_mm[-min(image.ndim, 3) :]
    image.scale = (*image.scale[: -len(steps)], *steps)


def unclear_layout(image: Image) -> Volume | None:
    """Return the layout of an image whose slice axis is not clear, else None."""
    try:
        layout = layout_of(image)
    except FlomoError:  # the description of the image says what is wrong
        return None
    return None if layout.slice_axis_known else layout
