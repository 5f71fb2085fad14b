"""The slice on the screen, and how to show another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_flomo.session import SliceIndex
from napari_flomo.widgets.layers import shape_of

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_flomo.volumes import Order


def slice_on_screen(viewer: Viewer, layer: Layer, order: Order = (0, 1, 2)) -> SliceIndex:
    """Return the frame and slice of a layer that the viewer shows, the nearest there is.

    ``order`` is that of `napari_flomo.widgets.layers.order_on`.
    """
    index = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    nearest = [
        min(max(round(float(value)), 0), length - 1)
        for value, length in zip(index, shape_of(layer)[: layer.ndim], strict=True)
    ]
    if layer.ndim == 2:
        return SliceIndex(0, 0)
    return SliceIndex(nearest[0] if layer.ndim == 4 else 0, nearest[layer.ndim - 3 + order[0]])


def shown_region(viewer: Viewer, layer: Layer) -> tuple[slice, ...]:
    """Return the part of a layer's data that is on the screen, as one slice for each dimension."""
    before = viewer.dims.ndim - layer.ndim
    index = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    displayed = {axis - before for axis in viewer.dims.displayed}
    region = []
    for axis, (value, length) in enumerate(zip(index, shape_of(layer), strict=True)):
        nearest = min(max(round(float(value)), 0), length - 1)
        region.append(slice(None) if axis in displayed else slice(nearest, nearest + 1))
    return tuple(region)


def go_to(viewer: Viewer, layer: Layer, index: SliceIndex, order: Order = (0, 1, 2)) -> None:
    """Show a frame and slice of a layer; axes on the screen do not move."""
    if layer.ndim == 2:
        return
    point = [(length - 1) / 2 for length in shape_of(layer)[: layer.ndim]]
    slices = layer.ndim - 3 + order[0]
    point[slices] = index.slice
    if layer.ndim == 4:
        point[0] = index.frame
    world = layer.data_to_world(point)
    before = viewer.dims.ndim - layer.ndim
    changed = [0, slices] if layer.ndim == 4 else [slices]  # rows and columns stay
    displayed = set(viewer.dims.displayed)
    axes = [axis + before for axis in changed if axis + before not in displayed]
    viewer.dims.set_point(axes, [float(world[axis - before]) for axis in axes])


def face(viewer: Viewer, layer: Layer, order: Order) -> bool:
    """Turn the view to the slices of a layer; return True if it showed them from the side.

    napari slices along the first axes of a layer, and shows slices on other axes from the side.
    """
    if layer.ndim == 2 or viewer.dims.ndisplay != 2 or order == (0, 1, 2):
        return False
    if viewer.dims.ndim - 3 + order[0] not in viewer.dims.displayed:
        return False
    turn_to_slices(viewer, layer, order)
    return True


def focus(viewer: Viewer) -> object:
    """Return selected layers, tool, slice and view; equal as long as the user changes none."""
    selection, dims = viewer.layers.selection, viewer.dims
    tool = None if selection.active is None else str(getattr(selection.active, "mode", ""))
    view = (dims.ndisplay, tuple(dims.order), tuple(dims.point))
    return frozenset(selection), selection.active, tool, view


@contextmanager
def selection_kept(viewer: Viewer) -> Iterator[None]:
    """Keep the selected layers while layers are inserted, which napari would select."""
    selection = viewer.layers.selection
    selected, active = set(selection), selection.active
    try:
        yield
    finally:
        if active is not None:
            selection.active = active
        elif selected != set(selection):
            selection.clear()
            selection.update(selected)


def turn_to_slices(viewer: Viewer, layer: Layer, order: Order) -> None:
    """Turn the view to the slices of a layer, unless it shows them already."""
    plane = plane_axes(viewer, layer, order)
    if set(viewer.dims.displayed) != set(plane):
        others = [axis for axis in viewer.dims.order if axis not in plane]
        viewer.dims.order = (*others, *plane)


def plane_axes(viewer: Viewer, layer: Layer, order: Order) -> tuple[int, int]:
    """Return which dimensions of the viewer the rows and columns of a layer are."""
    if layer.ndim == 2:
        return viewer.dims.ndim - 2, viewer.dims.ndim - 1
    first = viewer.dims.ndim - 3
    return first + order[1], first + order[2]
