"""The slice axis of an image, and arrays in the axis order of its nodes.

In a session the slices come first; in a node they may lie along any axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from FLoMoSegmentationLib.images import SLICE_AXIS_ATTRIBUTE, geometry_of

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import ImageNodes
    from napari_flomo.volumes import Volume


def layout_of(nodes: ImageNodes, *, ignore_choice: bool = False) -> Volume:
    """Return a volume of zeros with the grid and axes of one frame; reads no voxels.

    Parameters
    ----------
    nodes
        The image.
    ignore_choice
        Whether to infer the slice axis even if the user chose one.
    """
    from napari_flomo.volumes import Volume, arrange

    shape = nodes.volume.GetImageData().GetDimensions()[::-1]
    volume = Volume(np.broadcast_to(np.uint8(0), shape), geometry_of(nodes.volume))
    if nodes.volume.IsA("vtkMRMLVectorVolumeNode"):
        return volume
    return arrange(volume, None if ignore_choice else nodes.slice_axis)


def describe(nodes: ImageNodes) -> str:
    """Describe an image in one line; reads no voxels."""
    from napari_flomo.session import messages

    if nodes.volume.GetImageData() is None:
        return f"{nodes.volume.GetName()} has no voxels."
    n_frames = nodes.n_frames if nodes.n_frames > 1 else None
    text = messages.layout_text(layout_of(nodes), n_frames)
    parent = nodes.volume.GetParentTransformNode()
    return text if parent is None else f"{text}, moved by {parent.GetName()}"


def choose(nodes: ImageNodes, name: str) -> None:
    """Set the slice axis of an image: i, j or k; empty to infer it from the spacing.

    It is a node attribute, and so saved with the scene, because the results depend on it.
    """
    if (nodes.slice_axis or "") != name:
        nodes.storable.SetAttribute(SLICE_AXIS_ATTRIBUTE, name or None)


def keep_node_order(nodes: ImageNodes) -> None:
    """Choose axis k where another one would be inferred from the spacing."""
    layout = layout_of(nodes, ignore_choice=True)
    if layout.storage != (0, 1, 2) or not layout.slice_axis_known:
        choose(nodes, "k")


def choices(nodes: ImageNodes) -> dict[str, str]:
    """Return the titles of the axes by name; empty if the slice axis is clear."""
    from napari_flomo.session import messages

    layout = layout_of(nodes, ignore_choice=True)
    return {} if layout.slice_axis_known else messages.slice_axis_choices(layout)


def ijk_axes(nodes: ImageNodes) -> tuple[int, int, int]:
    """Return the IJK axes of columns, rows and slices."""
    slices, rows, columns = layout_of(nodes).storage
    return 2 - columns, 2 - rows, 2 - slices


def to_node_order(nodes: ImageNodes, data: NDArray[Any]) -> NDArray[Any]:
    """Return a view of ``(..., slices, rows, columns)`` with the axes in the node's order."""
    from napari_flomo.volumes import inverse, transposed

    return transposed(data, inverse(layout_of(nodes).storage), data.ndim - 3)


def from_node_order(nodes: ImageNodes, data: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array in the node's order as ``(..., slices, rows, columns)``."""
    from napari_flomo.volumes import transposed

    return transposed(data, layout_of(nodes).storage, data.ndim - 3)
