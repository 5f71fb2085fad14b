"""Images and labels in a store or a journal: slices are always the slowest axis of the file.

Indices of strokes and slices refer to the arranged array, so files do not have the order of the
original, and the slice axis is not searched when they are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_flomo.volumes import Volume, map_nrrd, read, suffix_of, write


def read_stored(path: Path) -> Volume:
    """Read what `write_stored` wrote; raises as `napari_flomo.volumes.read`."""
    return read(path, slice_axis="k")


def map_stored(path: Path) -> NDArray[Any]:
    """Return the voxels of what `write_stored` wrote, without reading them where possible."""
    mapped = map_nrrd(path) if suffix_of(path) == ".nrrd" else None
    return read_stored(path).data if mapped is None else mapped


def write_stored(volume: Volume, path: Path, *, compress: bool = True) -> None:
    """Write a volume; arguments and errors as of `napari_flomo.volumes.write`."""
    write(volume, path, compress=compress, stored_order=False)
