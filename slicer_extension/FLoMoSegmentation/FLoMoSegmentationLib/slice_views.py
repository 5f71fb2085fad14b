"""The slice views: layers, orientation, and navigation to a slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from FLoMoSegmentationLib.images import array_of, ijk_to_world, nodes_of_class
from FLoMoSegmentationLib.sequences import update_proxy_nodes
from FLoMoSegmentationLib.slice_axis import ijk_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from FLoMoSegmentationLib.images import ImageNodes
    from napari_flomo.session import SliceIndex

MAIN_VIEW = "Red"
"""The view in which the slices are reviewed."""


def show_image(nodes: ImageNodes) -> None:
    """Show an image as the background, and its slices as acquired in the main view."""
    for composite in nodes_of_class("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(nodes.volume.GetID())
    align(nodes)


def state() -> tuple[Any, ...]:
    """Return the image and the position of every slice view, to be compared later."""
    images = (one.GetBackgroundVolumeID() for one in nodes_of_class("vtkMRMLSliceCompositeNode"))
    views = nodes_of_class("vtkMRMLSliceNode")
    places = (array_of(view.GetSliceToRAS()).round(6).tobytes() for view in views)
    return (*images, *places)


def show_uncertainty(node: Any, opacity: float) -> None:
    """Show an uncertainty map as the foreground; None hides it."""
    for composite in nodes_of_class("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(None if node is None else node.GetID())
        composite.SetForegroundOpacity(0.0 if node is None else opacity)


def align(nodes: ImageNodes) -> None:
    """Rotate the main view to the slice plane: columns to the right, rows downwards."""
    view = main_view()
    if view is None:
        return
    matrix = ijk_to_world(nodes.volume)
    columns, rows = (matrix[:3, i] / np.linalg.norm(matrix[:3, i]) for i in ijk_axes(nodes)[:2])
    centre = _slice_centre(nodes, slice_on_screen(nodes).slice)
    view.SetSliceToRASByNTP(*np.cross(columns, -rows), *columns, *centre, 0)


def jump(nodes: ImageNodes, index: SliceIndex) -> None:
    """Show a slice: select its frame and centre all views on it."""
    if nodes.browser is not None and nodes.frame != index.frame:
        nodes.browser.SetSelectedItemNumber(index.frame)
        update_proxy_nodes(nodes)
    centre = _slice_centre(nodes, index.slice)
    for view in nodes_of_class("vtkMRMLSliceNode"):
        view.JumpSliceByOffsetting(*centre)


def slice_on_screen(nodes: ImageNodes) -> SliceIndex:
    """Return the slice nearest to the centre of the main view."""
    from napari_flomo.session import SliceIndex

    axis = ijk_axes(nodes)[2]
    count = nodes.volume.GetImageData().GetDimensions()[axis]
    view = main_view()
    if view is None:
        return SliceIndex(nodes.frame, count // 2)
    centre = array_of(view.GetSliceToRAS())[:, 3]
    index = np.linalg.solve(ijk_to_world(nodes.volume), centre)[axis]
    return SliceIndex(nodes.frame, int(np.clip(np.rint(index), 0, count - 1)))


def main_view() -> Any:
    """Return the slice node of the main view, or the first one if the layout has no main view."""
    views = nodes_of_class("vtkMRMLSliceNode")
    named = [view for view in views if view.GetLayoutName() == MAIN_VIEW]
    return next(iter([*named, *views]), None)


def _slice_centre(nodes: ImageNodes, number: int) -> NDArray[np.float64]:
    """Return the centre of a slice in world RAS mm."""
    lengths = nodes.volume.GetImageData().GetDimensions()
    index = np.array([*((length - 1) / 2 for length in lengths), 1.0])
    index[ijk_axes(nodes)[2]] = number
    return (ijk_to_world(nodes.volume) @ index)[:3]
