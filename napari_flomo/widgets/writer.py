"""Write layers to files, on the true grid of the image they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, align_labels, same_place, write
from napari_flomo.widgets import saving
from napari_flomo.widgets.layers import KEY, SAVED, Grid, geometry_of_layer

Meta = Mapping[str, Any]

SAVE_WITH_NAPARI = (
    "Select a layer and choose File > Save Selected Layers… to save it in this format."
)


def write_nifti(path: str = "", data: Any = None, meta: Meta | None = None) -> list[str]:
    """Write a layer, as NIfTI if the name has no ending; see `write_layer` (called by napari)."""
    return _write(path, ".nii.gz", data, meta)


def write_nrrd(path: str = "", data: Any = None, meta: Meta | None = None) -> list[str]:
    """Write a layer, as NRRD if the name has no ending; see `write_layer` (called by napari)."""
    return _write(path, ".nrrd", data, meta)


def write_metaimage(path: str = "", data: Any = None, meta: Meta | None = None) -> list[str]:
    """Write a layer, as MetaImage if the name has no ending; see `write_layer` (for napari)."""
    return _write(path, ".mha", data, meta)


def _write(path: str, ending: str, data: Any, meta: Meta | None) -> list[str]:
    """Write a layer; the command palette gives none, so tell the user how layers are saved."""
    if meta is None:
        show_info(SAVE_WITH_NAPARI)
        return []
    return write_layer(saving.complete(path, ending), data, meta)


def write_layer(path: str | Path, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write one labels or image layer; returns the file that was written.

    The geometry is that of the file that the image came from, not napari's approximation: results
    and layers of this plugin's reader have it; a labels layer that was drawn by hand uses that of
    the image below it; a layer without such an image is saved with its own transform. Raises
    `FlomoError` if the layer does not fit its image, cannot be placed in space or cannot be
    written.
    """
    volume = volume_to_write(np.asarray(data), meta)
    write(volume, Path(path))
    saved = meta.get("metadata", {}).get(SAVED)
    if callable(saved):
        saved()
    return [str(path)]


def volume_to_write(data: NDArray[Any], meta: Mapping[str, Any]) -> Volume:
    """Return the data of a layer on its true grid; see `write_layer`."""
    known = meta.get("metadata", {}).get(KEY)
    if known is None and not meta.get("rgb") and 2 <= data.ndim <= 4:
        below = _on_image_below(data, meta)
        if below is not None:
            return below
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


def _on_image_below(data: NDArray[Any], meta: Mapping[str, Any]) -> Volume | None:
    """Return what was drawn on an image, on the grid of its file; None if it is on none."""
    from napari import current_viewer

    viewer = current_viewer()
    for layer in [] if viewer is None else reversed(viewer.layers):
        image = layer.metadata.get(KEY)
        if isinstance(image, Volume):
            try:
                return _drawn_on(image, layer, data, meta)
            except FlomoError:  # of another size or position
                continue
    return None


def _drawn_on(image: Volume, layer: Any, data: NDArray[Any], meta: Mapping[str, Any]) -> Volume:
    """Return a layer on the grid of the image below; raise `FlomoError` if it does not fit."""
    shown = replace(Grid.of(image).template, geometry=geometry_of_layer(layer))
    drawn = Volume.from_array(data, geometry=geometry_of_layer(meta))
    if data.dtype.kind in "iub":
        return Grid.of(image).template.with_data(_compact(align_labels(drawn, shown).data))
    if drawn.n_frames != image.n_frames or not same_place(drawn, shown):
        raise FlomoError("The layer lies at another place than the image.")
    return image.with_data(data.reshape(shown.data.shape))


def _compact(data: NDArray[Any]) -> NDArray[Any]:
    """Store codes as bytes where they fit: napari draws labels in 32 or 64 bits."""
    if data.dtype.kind in "iu" and data.dtype.itemsize > 2 and data.min() >= 0:
        return data.astype(np.min_scalar_type(int(data.max())))
    return data
