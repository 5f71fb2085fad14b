"""The files beside a header that hold its voxels."""

from __future__ import annotations

from pathlib import Path

from napari_flomo.errors import FlomoError

HEADER_SUFFIXES = (".hdr", ".hdr.gz")
IMAGE_SUFFIXES = (".img", ".img.gz")
"""Suffixes of NIfTI images in two files."""


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
    from napari_flomo.volumes.meta_data import read_storage
    from napari_flomo.volumes.nrrd_data import data_paths
    from napari_flomo.volumes.nrrd_header import read_header

    if (image := image_beside(path)) is not None:
        return [image]
    suffix, paths = path.suffix.lower(), []
    try:
        if suffix == ".nhdr":
            paths = data_paths(read_header(path))[0]
        elif suffix == ".mhd":
            paths = read_storage(path).data_paths(path)[0]
    except FlomoError:  # reported when the image is read
        return []
    return [file for file in paths if file.is_file()]


def header_beside(image: Path) -> Path | None:
    """Return the header of an image file, or None."""
    return _partner(image, IMAGE_SUFFIXES, HEADER_SUFFIXES)


def image_beside(header: Path) -> Path | None:
    """Return the image file of a header, or None."""
    return _partner(header, HEADER_SUFFIXES, IMAGE_SUFFIXES)


def _partner(path: Path, own: tuple[str, ...], others: tuple[str, ...]) -> Path | None:
    """Return the file of the same name with another suffix, preferably compressed alike."""
    name = path.name
    for suffix in sorted(own, key=len, reverse=True):
        if not name.lower().endswith(suffix):
            continue
        stem, is_upper = name[: -len(suffix)], name[-len(suffix) :].isupper()
        packed = suffix.endswith(".gz")
        for other in sorted(others, key=lambda one: one.endswith(".gz") != packed):
            for spelling in (other.upper(), other) if is_upper else (other, other.upper()):
                if (found := path.with_name(stem + spelling)).is_file():
                    return found
        return None
    return None
