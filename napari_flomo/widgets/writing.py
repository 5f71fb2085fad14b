"""Layers into files, on the true grid of the image they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, write
from napari_flomo.widgets.layers import KEY, SAVED, TRANSFORM, Grid, geometry_of_layer


def write_layer(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write one labels or image layer (called by napari); returns the file that was written.

    The geometry is the one of the file that the image came from, never napari's approximation: a
    result of ours and a layer of our reader carry it; a labels layer that somebody drew takes it
    from the image it lies on; a layer without any such image is saved by its own transform.

    Raises
    ------
    FlomoError
        If the layer no longer fits its image, cannot be placed in space or cannot be written.
    """
    volume = volume_to_write(np.asarray(data), meta)
    write(volume, Path(path))
    saved = meta.get("metadata", {}).get(SAVED)
    if callable(saved):
        saved()
    return [path]


def volume_to_write(data: NDArray[Any], meta: Mapping[str, Any]) -> Volume:
    """Return the data of a layer on its true grid; see `write_layer`."""
    known = meta.get("metadata", {}).get(KEY)
    if known is None:
        known = _image_below(data, meta)
    if isinstance(known, Grid):
        return known.volume(_compact(data))
    if isinstance(known, Volume):
        if data.shape == known.data.shape:
            return known.with_data(_compact(data), axes=known.axes)
        return Grid.of(known).volume(_compact(data))
    colour = bool(meta.get("rgb"))
    ndim = data.ndim - colour
    if not 2 <= ndim <= 4:
        raise FlomoError(
            f"A layer of {ndim} dimensions cannot be saved as a medical image; take a part of it."
        )
    axes = ("frames", "slices", "rows", "columns")[-ndim:]
    return Volume.from_array(
        _compact(data),
        axes=(*axes, "channels") if colour else axes,
        geometry=geometry_of_layer(meta),
        source=str(meta.get("name", "")),
    )


def _image_below(data: NDArray[Any], meta: Mapping[str, Any]) -> Volume | None:
    """Find the image that labels were drawn on: as large and in the same place."""
    from napari import current_viewer

    viewer = current_viewer()
    for layer in [] if viewer is None else reversed(viewer.layers):
        volume = layer.metadata.get(KEY)
        if (
            isinstance(volume, Volume)
            and Grid.of(volume).shape == data.shape
            and _same_place(layer, meta)
        ):
            return volume
    return None


def _same_place(layer: Any, meta: Mapping[str, Any]) -> bool:
    for key in TRANSFORM[:5]:
        mine = getattr(layer, key)
        mine = getattr(mine, "affine_matrix", mine)
        theirs = getattr(meta[key], "affine_matrix", meta[key])
        if not np.allclose(mine, np.asarray(theirs, float)):
            return False
    return True


def _compact(data: NDArray[Any]) -> NDArray[Any]:
    """Store codes as bytes where they fit: napari draws labels in 32 or 64 bits."""
    if data.dtype.kind in "iu" and data.dtype.itemsize > 2 and data.min() >= 0:
        return data.astype(np.min_scalar_type(int(data.max())))
    return data
