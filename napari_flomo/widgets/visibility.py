"""Whether the slices of an image can be seen in the window, and how to show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from napari_flomo.session import NotShown
from napari_flomo.widgets import navigation, results
from napari_flomo.widgets.image_layers import ImageLayers, is_image
from napari_flomo.widgets.layers import shape_of

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer
    from numpy.typing import NDArray

    from napari_flomo.session import Reasons
    from napari_flomo.volumes import Order

OPAQUE = 0.95
"""From this opacity on, an image hides what lies below it."""


def not_shown(
    viewer: Viewer, entry: ImageLayers, order: Order, reasons: Reasons
) -> NotShown | None:
    """Return the first of ``reasons`` why slices or results of an image cannot be seen, or None.

    ``order`` is that of `napari_flomo.widgets.layers.order_on`.
    """
    image, labels, uncertainty = entry.image, entry.labels, entry.uncertainty
    plane = set(navigation.plane_axes(viewer, image, order))
    displayed = set(viewer.dims.displayed)
    known = (
        (NotShown.LABELS_REMOVED, lambda: labels is None),
        (NotShown.VOLUME_VIEW, lambda: viewer.dims.ndisplay == 3),
        (NotShown.ALL_FRAMES, lambda: image.ndim == 4 and viewer.dims.ndim - 4 in displayed),
        (NotShown.OTHER_PLANE, lambda: displayed != plane),
        (NotShown.IMAGE_HIDDEN, lambda: not _is_visible(image)),
        (NotShown.LABELS_HIDDEN, lambda: labels is not None and not _is_visible(labels)),
        (NotShown.MAP_HIDDEN, lambda: uncertainty is not None and uncertainty.opacity == 0),
        (NotShown.OUTSIDE, lambda: not _is_at_point(viewer, image)),
        (NotShown.OUTSIDE, lambda: _is_off_canvas(viewer, image)),
        (NotShown.IMAGE_COVERED, lambda: _is_covered(viewer, image)),
        (NotShown.LABELS_HIDDEN, lambda: labels is not None and _is_covered(viewer, labels)),
        (NotShown.MAP_HIDDEN, lambda: uncertainty is not None and _is_covered(viewer, uncertainty)),
    )
    return next((why for why, holds in known if why in reasons and holds()), None)


def show_slices(viewer: Viewer, entry: ImageLayers, order: Order) -> None:
    """Show the slices of an image and its labels in the 2-D view, above other images."""
    image, labels = entry.image, entry.labels
    viewer.dims.ndisplay = 2
    navigation.turn_to_slices(viewer, image, order)
    shown = [layer for layer in (image, labels, entry.uncertainty) if layer is not None]
    for layer in shown:
        if layer is not entry.uncertainty:
            layer.visible = True
        if layer.opacity == 0:
            layer.opacity = results.FILLED_OPACITY if layer is labels else 1.0
    if not _is_at_point(viewer, image):
        navigation.go_to(viewer, image, navigation.slice_on_screen(viewer, image, order), order)
    if _is_off_canvas(viewer, image):
        viewer.reset_view()
    if any(_is_covered(viewer, layer) for layer in shown):
        for layer in entry.layers:
            viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))


def can_be_seen(viewer: Viewer, layer: Layer) -> bool:
    """Return True if a layer is visible and not below an opaque image."""
    return _is_visible(layer) and not _is_covered(viewer, layer)


def _is_visible(layer: Layer) -> bool:
    return bool(layer.visible) and layer.opacity > 0


def _is_covered(viewer: Viewer, layer: Layer) -> bool:
    """Return True if an opaque image lies on a layer in the 2-D view."""
    if viewer.dims.ndisplay == 3:
        return False
    grid = getattr(viewer, "canvas", viewer).grid  # napari 0.9 moved it
    above = [] if grid.enabled else viewer.layers[viewer.layers.index(layer) + 1 :]
    return any(
        is_image(other) and _is_opaque(other) and _lies_on(viewer, other, layer) for other in above
    )


def _is_opaque(image: Image) -> bool:
    if not image.visible or image.opacity < OPAQUE:
        return False
    if image.blending not in ("opaque", "translucent", "translucent_no_depth"):
        return False
    return bool(image.rgb or np.asarray(image.colormap.colors)[:, 3].min() >= OPAQUE)


def _lies_on(viewer: Viewer, above: Layer, below: Layer) -> bool:
    """Return True if a layer covers the middle of another one, as far as that is shown."""
    point = np.array(viewer.dims.point, float)
    middle = below.data_to_world([(length - 1) / 2 for length in shape_of(below)[: below.ndim]])
    for axis in viewer.dims.displayed:
        point[axis] = middle[axis - viewer.dims.ndim]
    return _holds(above, point, range(above.ndim))


def _is_at_point(viewer: Viewer, layer: Layer) -> bool:
    """Return True if the sliders stand within a layer."""
    hidden = [axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.not_displayed]
    return _holds(layer, np.array(viewer.dims.point, float), [axis for axis in hidden if axis >= 0])


def _holds(layer: Layer, point: NDArray[np.float64], axes: Iterable[int]) -> bool:
    """Return True if a point of the world is within a layer, as far as some of its axes go."""
    place, shape = layer.world_to_data(point[-layer.ndim :]), shape_of(layer)
    return all(-0.5 <= place[axis] < shape[axis] - 0.5 for axis in axes)


def _is_off_canvas(viewer: Viewer, layer: Layer) -> bool:
    """Return True if the part of the world that the canvas shows does not touch a layer."""
    corners = layer.corner_pixels
    if viewer.dims.ndisplay == 3 or not corners.any():
        return False  # in 3-D they mean something else; or not drawn yet
    hidden = viewer.dims.ndim - layer.ndim
    axes = [axis - hidden for axis in viewer.dims.displayed if axis >= hidden]
    return bool((corners[0, axes] == corners[1, axes]).any())
