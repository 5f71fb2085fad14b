"""Images with geometry: one type, one reader, one writer for every format."""

from __future__ import annotations

from napari_flomo.volumes.formats import (
    READABLE,
    WRITABLE,
    find_series,
    read,
    stem_of,
    suffix_of,
    write,
)
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.slice_axis import AXIS_NAMES, arrange, in_stored_order
from napari_flomo.volumes.volume import AXES, SPATIAL_AXES, Volume

__all__ = [
    "AXES",
    "AXIS_NAMES",
    "READABLE",
    "SPATIAL_AXES",
    "WRITABLE",
    "Geometry",
    "Volume",
    "arrange",
    "find_series",
    "in_stored_order",
    "read",
    "stem_of",
    "suffix_of",
    "write",
]
