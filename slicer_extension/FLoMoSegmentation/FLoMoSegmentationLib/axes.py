"""Along which axis of a node the slices lie, and results in the order of its voxels.

A session has the slices first; a node may have them on any axis, as of a file that was reoriented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from FLoMoSegmentationLib.images import CHOSEN_AXIS, geometry_of

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source
    from napari_flomo.volumes import Volume


_CHOSEN = object()


def layout_of(source: Source, slice_axis: Any = _CHOSEN) -> Volume:
    """Return what `volume_of` would return of one frame, with zeros for voxels; reads none.

    Parameters
    ----------
    source
        The image.
    slice_axis
        In place of what the user said; None: as it looks.
    """
    from napari_flomo.volumes import Volume, arrange

    shape = source.node.GetImageData().GetDimensions()[::-1]
    volume = Volume(np.broadcast_to(np.uint8(0), shape), geometry_of(source.node))
    if source.node.IsA("vtkMRMLVectorVolumeNode"):
        return volume
    return arrange(volume, source.slice_axis if slice_axis is _CHOSEN else slice_axis)


def choose(source: Source, name: str) -> None:
    """Set the slice axis of an image: i, j or k; empty to judge by the spacing.

    Kept in the node, and so in the scene, because the results in the scene depend on it.
    """
    holder = source.holder
    if (holder.GetAttribute(CHOSEN_AXIS) or "") != name:
        holder.SetAttribute(CHOSEN_AXIS, name or None)


def keep_order(source: Source) -> None:
    """Set the last axis as the slice axis where the spacing suggests another one."""
    layout = layout_of(source, None)
    if layout.storage != (0, 1, 2) or not layout.slice_axis_known:
        choose(source, "k")


def choices(source: Source) -> dict[str, str]:
    """Return the titles of the axes by name; empty if the slice axis is clear."""
    from napari_flomo.session import messages

    layout = layout_of(source, None)
    return {} if layout.slice_axis_known else messages.slice_axis_choices(layout)


def ijk_of(source: Source) -> tuple[int, int, int]:
    """Return which index of the node counts columns, rows and slices."""
    slices, rows, columns = layout_of(source).storage
    return 2 - columns, 2 - rows, 2 - slices


def to_node(source: Source, data: NDArray[Any]) -> NDArray[Any]:
    """Return ``(..., slices, rows, columns)`` with the axes in the order of the node; a view."""
    from napari_flomo.volumes import inverse, transposed

    return transposed(data, inverse(layout_of(source).storage), data.ndim - 3)


def from_node(source: Source, data: NDArray[Any]) -> NDArray[Any]:
    """Return an array with its last axes in the order of the node as slices, rows, columns."""
    from napari_flomo.volumes import transposed

    return transposed(data, layout_of(source).storage, data.ndim - 3)
