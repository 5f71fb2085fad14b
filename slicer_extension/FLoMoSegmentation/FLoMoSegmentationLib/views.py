"""Slice views: what lies over what, which slice is on the screen, and how to get to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from FLoMoSegmentationLib.axes import ijk_of
from FLoMoSegmentationLib.frames import refresh
from FLoMoSegmentationLib.images import ijk_to_world

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source
    from napari_flomo.session import SliceIndex

MAIN = "Red"
"""The view in which the slices are reviewed."""


def show_image(source: Source) -> None:
    """Show an image behind everything, and its slices as they were acquired in the main view."""
    for composite in _nodes("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(source.node.GetID())
    align(source)


def show_uncertainty(node: Any, opacity: float) -> None:
    """Lay an uncertainty map over the image; None takes it away."""
    for composite in _nodes("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(None if node is None else node.GetID())
        composite.SetForegroundOpacity(0.0 if node is None else opacity)


def align(source: Source) -> None:
    """Turn the main view into the plane of the slices: columns to the right, rows downwards."""
    view = main_view()
    if view is None:
        return
    matrix = ijk_to_world(source.node)
    columns, rows = (matrix[:3, i] / np.linalg.norm(matrix[:3, i]) for i in ijk_of(source)[:2])
    current = slice_on_screen(source)
    normal = np.cross(columns, -rows)
    centre = _centre(source, current.slice)
    view.SetSliceToRASByNTP(*normal, *columns, *centre, 0)


def jump(source: Source, index: SliceIndex) -> None:
    """Go to a slice: its frame on the screen, all views on its middle."""
    if source.browser is not None and source.frame != index.frame:
        source.browser.SetSelectedItemNumber(index.frame)
        refresh(source)
    centre = _centre(source, index.slice)
    for view in _nodes("vtkMRMLSliceNode"):
        view.JumpSliceByOffsetting(*centre)


def slice_on_screen(source: Source) -> SliceIndex:
    """Return the slice that the main view shows: the nearest one to its middle."""
    from napari_flomo.session import SliceIndex

    axis = ijk_of(source)[2]
    count = source.node.GetImageData().GetDimensions()[axis]
    view = main_view()
    if view is None:
        return SliceIndex(source.frame, count // 2)
    to_ras = view.GetSliceToRAS()
    middle = np.array([to_ras.GetElement(i, 3) for i in range(3)] + [1.0])
    index = np.linalg.solve(ijk_to_world(source.node), middle)[axis]
    return SliceIndex(source.frame, int(np.clip(np.rint(index), 0, count - 1)))


def main_view() -> Any:
    """Return the slice node of the main view; the first one where a layout has no such view."""
    views = _nodes("vtkMRMLSliceNode")
    named = [view for view in views if view.GetLayoutName() == MAIN]
    return next(iter([*named, *views]), None)


def _centre(source: Source, number: int) -> Any:
    """Return the middle of a slice in the world of the views, RAS mm."""
    lengths = source.node.GetImageData().GetDimensions()
    index = np.array([*((length - 1) / 2 for length in lengths), 1.0])
    index[ijk_of(source)[2]] = number
    return (ijk_to_world(source.node) @ index)[:3]


def _nodes(kind: str) -> list[Any]:
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(i, kind) for i in range(scene.GetNumberOfNodesByClass(kind))]
