"""Where the viewer is in an image, and how to bring it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.session import Place

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer


def place_in(viewer: Viewer, layer: Layer) -> Place:
    """Return the frame and slice of a layer that the viewer shows, the nearest there is."""
    index = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    shape = layer.data.shape if not layer.multiscale else layer.data[0].shape
    nearest = [
        min(max(round(float(value)), 0), length - 1)
        for value, length in zip(index, shape[: layer.ndim], strict=True)
    ]
    if layer.ndim == 2:
        return Place(0, 0)
    return Place(nearest[0] if layer.ndim == 4 else 0, nearest[-3])


def go_to(viewer: Viewer, layer: Layer, place: Place) -> None:
    """Show a frame and slice of a layer; axes that are on the screen stay as they are."""
    if layer.ndim == 2:
        return
    shape = layer.data.shape if not layer.multiscale else layer.data[0].shape
    index = [(length - 1) / 2 for length in shape[: layer.ndim]]
    index[-3] = place.slice
    if layer.ndim == 4:
        index[0] = place.frame
    world = layer.data_to_world(index)
    before = viewer.dims.ndim - layer.ndim
    changed = range(layer.ndim - 2)  # rows and columns stay where they are
    displayed = set(viewer.dims.displayed)
    axes = [axis + before for axis in changed if axis + before not in displayed]
    viewer.dims.set_point(axes, [float(world[axis - before]) for axis in axes])
