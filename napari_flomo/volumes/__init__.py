"""Images with geometry: one type, one reader, one writer for every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_flomo.volumes.alignment import align_labels, same_place, whole_labels
from napari_flomo.volumes.background import MissingValues, fill_background
from napari_flomo.volumes.data_files import data_files
from napari_flomo.volumes.formats import (
    READABLE,
    WRITABLE,
    check_suffix,
    read,
    read_series,
    stem_of,
    suffix_of,
    with_ending,
    write,
    write_in_place,
)
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.nrrd import map_nrrd
from napari_flomo.volumes.slice_axis import (
    AXIS_NAMES,
    Order,
    arrange,
    ask_for_axis,
    in_stored_order,
    inverse,
    permuted,
    transposed,
)
from napari_flomo.volumes.studies import (
    MARKER,
    OnSkip,
    Study,
    StudyFilter,
    files_of,
    find_studies,
    stamp_of,
)
from napari_flomo.volumes.volume import AXES, SPATIAL_AXES, Volume

if TYPE_CHECKING:
    from napari_flomo.volumes.dicom import find_series, group_files, holds_series, split_stacks

__all__ = [
    "AXES",
    "AXIS_NAMES",
    "MARKER",
    "READABLE",
    "SPATIAL_AXES",
    "WRITABLE",
    "Geometry",
    "MissingValues",
    "OnSkip",
    "Order",
    "Study",
    "StudyFilter",
    "Volume",
    "align_labels",
    "arrange",
    "ask_for_axis",
    "check_suffix",
    "data_files",
    "files_of",
    "fill_background",
    "find_series",
    "find_studies",
    "group_files",
    "holds_series",
    "in_stored_order",
    "inverse",
    "map_nrrd",
    "permuted",
    "read",
    "read_series",
    "same_place",
    "split_stacks",
    "stamp_of",
    "stem_of",
    "suffix_of",
    "transposed",
    "whole_labels",
    "with_ending",
    "write",
    "write_in_place",
]

_DICOM = {"find_series", "holds_series", "group_files", "split_stacks"}


def __getattr__(name: str) -> Any:
    """Import the modules for DICOM with the first use of one of their functions."""
    if name not in _DICOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_flomo.volumes import dicom

    return getattr(dicom, name)
