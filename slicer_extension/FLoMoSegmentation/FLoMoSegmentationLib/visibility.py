"""Whether the slices of an image can be seen in the main view, and how to show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from FLoMoSegmentationLib import slice_views
from FLoMoSegmentationLib.images import array_of, ijk_to_world, nodes_of_class
from FLoMoSegmentationLib.slice_axis import ijk_axes
from napari_flomo.session import NotShown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.session import Reasons

OPAQUE = 0.95
"""From this opacity on, the foreground hides the image."""

SAME_PLANE = np.cos(np.radians(1))
"""Smallest cosine of the angle between the normals of the main view and of the slices."""


def not_shown(scene_image: SceneImage, reasons: Reasons) -> NotShown | None:
    """Return the first of ``reasons`` why an image or its labels cannot be seen, or None."""
    node, view = scene_image.segmentation, slice_views.main_view()
    if node is None and NotShown.LABELS_REMOVED in reasons:
        return NotShown.LABELS_REMOVED
    if view is None:  # a script without views
        return None
    volume = scene_image.nodes.volume
    layers = _composite(view)
    known = (
        (NotShown.VOLUME_VIEW, lambda: not _is_in_layout(view)),
        (NotShown.OTHER_PLANE, lambda: not _shows_slice_plane(scene_image, view)),
        (NotShown.IMAGE_HIDDEN, lambda: volume.GetID() not in _shown_volumes(layers)),
        (NotShown.LABELS_HIDDEN, lambda: node is not None and not _labels_can_be_seen(node)),
        (NotShown.OUTSIDE, lambda: not _is_within(scene_image, view)),
        (NotShown.IMAGE_COVERED, lambda: _is_covered(scene_image, layers)),
    )
    return next((why for why, holds in known if why in reasons and holds()), None)


def show_slices(scene_image: SceneImage) -> None:
    """Show the slices of an image and its labels in the main view."""
    view, node = slice_views.main_view(), scene_image.segmentation
    if view is not None and not _is_in_layout(view):
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    slice_views.show_image(scene_image.nodes)
    if view is not None and _is_covered(scene_image, _composite(view)):
        _composite(view).SetForegroundOpacity(0.0)
    if node is not None and not _labels_can_be_seen(node):
        display = node.GetDisplayNode()
        display.SetVisibility(True)
        display.SetVisibility2D(True)
        display.SetVisibility2DFill(True)
        display.SetOpacity(max(display.GetOpacity(), 0.5))
        if not _any_segment_visible(node):
            display.SetAllSegmentsVisibility(True)


def _composite(view: Any) -> Any:
    """Return the node that says which volumes a view shows."""
    composites: Iterable[Any] = nodes_of_class("vtkMRMLSliceCompositeNode")
    return next((one for one in composites if one.GetLayoutName() == view.GetLayoutName()), None)


def _is_in_layout(view: Any) -> bool:
    """Return True if a view is on the screen; also without a window."""
    return slicer.app.layoutManager() is None or bool(view.IsMappedInLayout())


def _shows_slice_plane(scene_image: SceneImage, view: Any) -> bool:
    matrix = ijk_to_world(scene_image.nodes.volume)
    columns, rows = (matrix[:3, axis] for axis in ijk_axes(scene_image.nodes)[:2])
    normal = np.cross(columns, rows)
    shown = array_of(view.GetSliceToRAS())[:3, 2]
    return bool(abs(normal @ shown) >= SAME_PLANE * np.linalg.norm(normal) * np.linalg.norm(shown))


def _shown_volumes(layers: Any) -> list[str]:
    """Return the volumes of a view: the background, and the foreground if it can be seen."""
    if layers is None:
        return []
    above = layers.GetForegroundVolumeID() if layers.GetForegroundOpacity() > 0 else None
    return [name for name in (layers.GetBackgroundVolumeID(), above) if name]


def _is_covered(scene_image: SceneImage, layers: Any) -> bool:
    """Return True if another volume than the uncertainty hides the image."""
    results = scene_image.results
    above = None if layers is None else layers.GetForegroundVolumeID()
    if above is None or layers.GetForegroundOpacity() < OPAQUE:
        return False
    known = [scene_image.nodes.volume, None if results is None else results.uncertainty]
    return above not in [node.GetID() for node in known if node is not None]


def _is_within(scene_image: SceneImage, view: Any) -> bool:
    """Return True if the centre of a view is between the first and the last slice."""
    nodes = scene_image.nodes
    axis = ijk_axes(nodes)[2]
    place = np.linalg.solve(ijk_to_world(nodes.volume), array_of(view.GetSliceToRAS())[:, 3])[axis]
    count = nodes.volume.GetImageData().GetDimensions()[axis]
    return bool(-0.5 - 1e-3 <= place <= count - 0.5 + 1e-3)


def _labels_can_be_seen(node: Any) -> bool:
    display = node.GetDisplayNode()
    if display is None or not (display.GetVisibility() and display.GetVisibility2D()):
        return False
    drawn = display.GetVisibility2DFill() or display.GetVisibility2DOutline()
    return bool(drawn) and display.GetOpacity() > 0 and _any_segment_visible(node)


def _any_segment_visible(node: Any) -> bool:
    display = node.GetDisplayNode()
    return any(display.GetSegmentVisibility(one) for one in node.GetSegmentation().GetSegmentIDs())
