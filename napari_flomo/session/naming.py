"""Names of images on the screen, and of the files that are suggested for them."""

from __future__ import annotations

from pathlib import Path

from napari_flomo.volumes import Volume


def image_name(volume: Volume, path: Path | None = None, *, by_folder: bool = False) -> str:
    """Return the name of an image.

    Parameters
    ----------
    volume
        The image.
    path
        The file or folder that it was read from.
    by_folder
        Whether a DICOM image is named after its folder, which may be named after the patient, and
        not by `Volume.title`.
    """
    if volume.title and by_folder and path is not None:
        folder = path.resolve() if path.is_dir() else path.resolve().parent
        return folder.name or volume.title
    return volume.title or volume.source or "image"
