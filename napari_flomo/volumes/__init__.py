"""Images with geometry: one type, one reader, one writer for every format."""

from __future__ import annotations

from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import Volume

__all__ = ["Geometry", "Volume"]
