"""The files beside a header that hold its voxels."""

from __future__ import annotations

from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.pairs import image_beside


def data_files(path: Path) -> list[Path]:
    """Return the files that hold the voxels of a header, in order.

    Parameters
    ----------
    path
        ``.hdr``, ``.nhdr`` or ``.mhd``; of any other file the result is empty.

    Returns
    -------
    list of Path
        Existing files only; empty if the header cannot be read.
    """
    if (image := image_beside(path)) is not None:
        return [image]
    try:
        return [file for file in _named_files(path) if file.is_file()]
    except FlomoError:  # reading the image says what is wrong
        return []


def _named_files(path: Path) -> list[Path]:
    suffix = path.suffix.lower()
    if suffix == ".nhdr":
        from napari_flomo.volumes.nrrd_data import data_paths
        from napari_flomo.volumes.nrrd_header import read_header

        return data_paths(read_header(path))[0]
    if suffix == ".mhd":
        from napari_flomo.volumes.meta_data import read_storage

        return read_storage(path).data_paths(path)[0]
    return []
