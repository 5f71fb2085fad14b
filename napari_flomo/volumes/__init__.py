"""Images with geometry: one type, one reader, one writer for every format."""

from __future__ import annotations

from napari_flomo.volumes.formats import (
    READABLE,
    WRITABLE,
    find_series,
    holds_series,
    read,
    read_series,
    series_name,
    split_stacks,
    stem_of,
    suffix_of,
    write,
)
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import AXES, SPATIAL_AXES, Volume

__all__ = [
    "AXES",
    "READABLE",
    "SPATIAL_AXES",
    "WRITABLE",
    "Geometry",
    "Volume",
    "find_series",
    "holds_series",
    "read",
    "read_series",
    "series_name",
    "split_stacks",
    "stem_of",
    "suffix_of",
    "write",
]
