"""Sample data: a real heart in the public domain (Sunnybrook Cardiac Data, CC0 1.0)."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from napari_flomo.volumes import read
from napari_flomo.widgets.reader import LayerData, layer_data


def volume() -> list[LayerData]:
    """Return a short-axis stack of 12 slices at end diastole."""
    return [_sample("sunnybrook_ed.nii.gz")]


def cine() -> list[LayerData]:
    """Return the same heart in motion: 10 frames of 12 slices, the middle of the image."""
    return [_sample("sunnybrook_cine.nii.gz")]


def _sample(name: str) -> LayerData:
    folder: Any = files("napari_flomo") / "samples"
    with as_file(folder / name) as path:
        return layer_data(read(path))
