"""One reader and one writer for all formats, chosen by content and by suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.slice_axis import arrange, in_stored_order, where_it_lies
from napari_flomo.volumes.volume import Volume

if TYPE_CHECKING:
    from napari_flomo.volumes.dicom import DicomSeries

READABLE = (
    ".nii",
    ".nii.gz",
    ".nrrd",
    ".nhdr",
    ".mha",
    ".mhd",
    ".dcm",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
)
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif", ".tiff")

_FAMILIES = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "meta",
    ".mhd": "meta",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
    ".png": "photo",
    ".jpg": "photo",
    ".jpeg": "photo",
    ".tif": "photo",
    ".tiff": "photo",
}
_STORED_IN_ANY_ORDER = ("nifti", "nrrd", "meta")  # a DICOM series is stacked slice by slice


def read(
    path: str | os.PathLike[str],
    *,
    series: str | int | None = None,
    slice_axis: str | None = None,
) -> Volume:
    """Read a medical image or a photo, in its own geometry.

    A file whose slices lie along another than its last axis is arranged, so that slices come first
    in the array; `write` puts results back into the order of the file.

    Parameters
    ----------
    path
        NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd), a DICOM file or a folder
        with one DICOM series, or a photo (PNG, JPEG, TIFF). Without a known suffix the content
        decides.
    series
        Which series of a DICOM folder: its number or instance UID. Needed only where there are
        several.
    slice_axis
        Along which axis of a NIfTI, NRRD or MetaImage file the slices lie: ``"i"``, ``"j"`` or
        ``"k"``, from the fastest axis in the file to the slowest, as nibabel and 3D Slicer count.
        By default its steps and lengths decide.

    Returns
    -------
    Volume
        Real, finite numbers with axes (slices, rows, columns), frames in front of them for a cine,
        channels behind them for a colour photo.

    Raises
    ------
    FlomoError
        If the file is missing, unreadable, damaged, too large for memory, no image, of an
        unsupported kind, or has NaN values or an impossible geometry.
    """
    source = Path(path)
    try:
        volume = _read(source, series, slice_axis)
        limits.check_finite(volume.data, source.name or str(source))
    except MemoryError as error:
        raise FlomoError(
            f"{source.name} does not fit into the free memory; close other programs or crop it."
        ) from error
    return volume


def find_series(folder: str | os.PathLike[str], series: str | int | None = None) -> DicomSeries:
    """Find the files of a DICOM series in the order in which `read` stacks them.

    Parameters
    ----------
    folder, series
        As for `read`.

    Raises
    ------
    FlomoError
        As `read`, and if it is no folder of single images.
    """
    from napari_flomo.volumes.dicom import find_dicom_series

    source = Path(folder)
    if not source.is_dir():
        raise FlomoError(f"{source} is no folder; choose the folder that holds the DICOM series.")
    return find_dicom_series(source, series)


def _read(source: Path, series: str | int | None, slice_axis: str | None) -> Volume:
    if source.is_dir():
        from napari_flomo.volumes.dicom import read_dicom_folder

        return read_dicom_folder(source, series)
    family = _FAMILIES.get(suffix_of(source)) or _sniff(source)
    if series is not None:
        raise FlomoError(
            f"{source.name} is one file, so no series can be chosen; give the folder instead."
        )
    volume = _reader(family)(source)
    if family in _STORED_IN_ANY_ORDER:
        volume = arrange(volume, slice_axis)
        if volume.storage != (0, 1, 2) and slice_axis is None:
            volume = replace(volume, notes=(*volume.notes, where_it_lies(volume)))
    return volume if volume.source else replace(volume, source=stem_of(source))


def write(
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    compress: bool = True,
    stored_order: bool = True,
) -> None:
    """Write a volume with its geometry; the suffix decides the format.

    The file appears whole or not at all. Element types are kept, so labels stay integers.

    Parameters
    ----------
    volume
        What to write.
    path
        Ends in .nii.gz, .nii, .nrrd or .mha, or for photos and their masks in .png, .tif or .tiff.
        Its folder must exist.
    compress
        For .nrrd and .mha: whether to compress. NIfTI decides it by its suffix.
    stored_order
        Whether to write the axes in the order in which the image was stored, see `Volume.storage`.
        Without, columns are the fastest axis of the file and slices the slowest.

    Raises
    ------
    FlomoError
        If the suffix is unknown, the format cannot hold the volume, or the file cannot be written.
    """
    target = Path(path)
    suffix = suffix_of(target)
    if suffix not in WRITABLE:
        raise FlomoError(
            f"{target.name} cannot be written: '{suffix}' is not a known image format; choose one "
            f"of {', '.join(WRITABLE)}."
        )
    family = _FAMILIES[suffix]
    if stored_order:
        volume = in_stored_order(volume)
    if family == "nifti":
        from napari_flomo.volumes.nifti import write_nifti

        write_nifti(volume, target)
    elif family == "nrrd":
        from napari_flomo.volumes.nrrd import write_nrrd

        write_nrrd(volume, target, compress=compress)
    elif family == "meta":
        from napari_flomo.volumes.meta import write_meta

        write_meta(volume, target, compress=compress)
    else:
        from napari_flomo.volumes.photo import write_photo

        write_photo(volume, target)


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the suffix in lower case, ``.nii.gz`` in one piece."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def stem_of(path: str | os.PathLike[str]) -> str:
    """Return the file name without folder and without the suffix of a known format."""
    name = Path(path).name
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix in _FAMILIES and len(name) > len(suffix) else name


def _reader(family: str) -> Callable[[Path], Volume]:
    """Import the one reader that is needed; ITK alone takes a third of a second."""
    if family == "nifti":
        from napari_flomo.volumes.nifti import read_nifti

        return read_nifti
    if family == "nrrd":
        from napari_flomo.volumes.nrrd import read_nrrd

        return read_nrrd
    if family == "meta":
        from napari_flomo.volumes.meta import read_meta

        return read_meta
    if family == "photo":
        from napari_flomo.volumes.photo import read_photo

        return read_photo
    from napari_flomo.volumes.dicom import read_dicom_file

    return read_dicom_file


def _sniff(path: Path) -> str:
    """Find the family of a file whose suffix says nothing, as DICOM exports often have none."""
    from napari_flomo.volumes.dicom_header import is_dicom

    with limits.open_file(path) as stream:
        start = stream.read(352)
    if start.startswith(b"NRRD000"):
        return "nrrd"
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*")):
        return "photo"
    if start[344:347] in (b"n+1", b"ni1") or start[4:7] == b"n+2":
        return "nifti"
    if is_dicom(path):
        return "dicom"
    raise FlomoError(
        f"{path.name} is not an image that can be read; supported are a folder with a DICOM series "
        f"and {', '.join(READABLE)}."
    )
