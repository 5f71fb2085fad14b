"""DICOM: one file, or a folder that holds one series, sorted by where and when it was taken.

Nothing is taken on trust from file names or from the order in a folder: slices are ordered by their
position along the normal of the image plane, frames by their phase at each position. Only numbers
that place and scale the voxels are kept; names, dates and identifiers are never stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its usual name)
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.dicom_header import DicomHeader, is_dicom, read_header
from napari_flomo.volumes.dicom_sorting import Stack, rotation_of, sort_stack
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_FRAME_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.3",  # ultrasound multi-frame
    "1.2.840.10008.5.1.4.1.1.7.",  # multi-frame secondary capture
    "1.2.840.10008.5.1.4.1.1.12.",  # X-ray angiography, fluoroscopy
    "1.2.840.10008.5.1.4.1.1.77.1.1.1",  # endoscopic video
)


def read_dicom_folder(folder: Path, series: str | int | None = None) -> Volume:
    """Read the series in a folder.

    Parameters
    ----------
    folder
        Folder that holds the files themselves; files that are not DICOM images are ignored.
    series
        Number or instance UID of the series, needed where there are several.

    Returns
    -------
    Volume
        (slices, rows, columns), or (frames, slices, rows, columns) where every slice was taken at
        several phases. Slices run along the normal of the image plane (rows' direction x columns'
        direction), frames in the order of temporal position, trigger time or instance number. The
        rescale slope and intercept are applied, and ITK turns MONOCHROME1 so that more is brighter.

    Raises
    ------
    FlomoError
        If there is no DICOM image, a file is damaged, several series fit, or the images do not form
        one evenly spaced stack with the same phases at each slice.
    """
    chosen = _headers_of(folder, series)
    return _single(chosen[0]) if len(chosen) == 1 else _stack(chosen)


@dataclass(frozen=True)
class DicomSeries:
    """Which files make a volume, and its grid; made without reading any voxel.

    Attributes
    ----------
    files
        ``[frame][slice]``, in the order in which `read_dicom_folder` stacks them.
    geometry
        Grid of the volume.
    shape
        Numbers of frames, slices, rows and columns.
    """

    files: tuple[tuple[Path, ...], ...]
    geometry: Geometry
    shape: tuple[int, int, int, int]


def find_dicom_series(folder: Path, series: str | int | None = None) -> DicomSeries:
    """Find the files of a series.

    Parameters
    ----------
    folder, series
        As for `read_dicom_folder`.

    Raises
    ------
    FlomoError
        As there, and if the series is one file with several images.
    """
    chosen = _headers_of(folder, series)
    first = chosen[0]
    if any(header.frames > 1 for header in chosen):
        raise FlomoError(
            f"{first.path.name} holds several images, not one; this works with a series of "
            "single images only."
        )
    stack = Stack(_geometry_of(first), [[0]], None) if len(chosen) == 1 else sort_stack(chosen)
    files = tuple(
        tuple(chosen[index].path for index in frame) for frame in zip(*stack.order, strict=True)
    )
    shape = (len(files), len(files[0]), first.rows, first.columns)
    return DicomSeries(files, stack.geometry, shape)


def read_dicom_file(path: Path) -> Volume:
    """Read one DICOM file: a single image, or a plain multi-frame one (ultrasound, X-ray).

    Parameters
    ----------
    path
        The file; the rest of its series is not looked for.

    Returns
    -------
    Volume
        One slice, with frames in front and channels behind where the file has them.

    Raises
    ------
    FlomoError
        If the file is missing, damaged, not an image, or an enhanced multi-frame image.
    """
    with limits.open_file(path):
        pass
    header = read_header(path)
    if header is None:
        raise FlomoError(f"{path.name} is DICOM, but not an image; choose an image file.")
    return _single(header)


def _headers_of(folder: Path, series: str | int | None) -> list[DicomHeader]:
    """Return the headers of a series: of several single images, or of one file."""
    try:
        files = sorted(
            file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")
        )
    except PermissionError:
        raise FlomoError(
            f"No permission to read {folder}; ask its owner or copy it to a folder of yours."
        ) from None
    headers = [header for file in files if is_dicom(file) and (header := read_header(file))]
    if not headers:
        raise FlomoError(
            f"The folder {folder} holds no DICOM images; choose the folder that holds the files of "
            "the series themselves."
        )
    chosen = _choose_series(headers, series, folder)
    if len(chosen) > 1 and any(header.frames > 1 for header in chosen):
        raise FlomoError(
            f"The series in {folder} consists of several multi-frame files; open one of them."
        )
    return chosen


def _choose_series(
    headers: Sequence[DicomHeader], series: str | int | None, folder: Path
) -> list[DicomHeader]:
    groups: dict[str, list[DicomHeader]] = {}
    for header in headers:
        groups.setdefault(header.series_uid, []).append(header)
    names = {uid: group[0].series_number or uid for uid, group in groups.items()}
    if len(set(names.values())) < len(names):  # numbers are not always unique
        names = {uid: uid for uid in groups}
    listing = ", ".join(
        f"{names[uid]} ({group[0].modality or 'unknown modality'}, {len(group)} images of "
        f"{group[0].rows} x {group[0].columns})"
        for uid, group in sorted(
            groups.items(), key=lambda item: (len(names[item[0]]), names[item[0]])
        )
    )
    if series is None:
        if len(groups) > 1:
            raise FlomoError(
                f"The folder {folder} holds {len(groups)} series: {listing}; choose one of them "
                "by its number (series=...)."
            )
        return list(headers)
    wanted = str(series).strip()
    found = [uid for uid in groups if wanted in (uid, names[uid])]
    if not found:
        raise FlomoError(
            f"The folder {folder} holds no series {wanted}; there is {listing}, choose one of them."
        )
    return groups[found[0]]


def _single(header: DicomHeader) -> Volume:
    """Read a file that is a volume of its own."""
    if header.frames > 1 and not header.sop_class.startswith(_FRAME_CLASSES):
        raise FlomoError(
            f"{header.path.name} is an enhanced multi-frame DICOM file, which is not supported; "
            "convert it to NIfTI first (for example with dcm2niix)."
        )
    channels = header.samples if header.samples > 1 else 1
    limits.check_declared_size(
        header.path, (header.frames, header.rows, header.columns, channels), 2
    )
    data = _pixels(header)
    geometry = _geometry_of(header)
    axes: tuple[str, ...] = SPATIAL_AXES
    step_seconds = None
    if header.frames == 1:
        data = data[np.newaxis]
    else:
        data = data[:, np.newaxis]
        axes = ("frames", *axes)
        step_seconds = header.frame_time / 1000 if header.frame_time else None
    if channels > 1:
        axes = (*axes, "channels")
    return Volume(data, geometry, axes, header.modality, _source(header), step_seconds)


def _geometry_of(header: DicomHeader) -> Geometry:
    """Return the grid of a file that is a volume of its own."""
    if header.pixel_spacing is None:
        return Geometry.unknown()
    position = header.position or (0.0, 0.0, 0.0)
    rotation = rotation_of(header)
    row_step, column_step = header.pixel_spacing
    # One slice has no neighbour to measure the step from; its thickness is the best we know.
    step = header.spacing_between or header.thickness or 1.0
    return Geometry((column_step, row_step, step), position, tuple(rotation.ravel().tolist()))


def _stack(headers: Sequence[DicomHeader]) -> Volume:
    """Read a series of single images as slices, or as frames of slices."""
    first = headers[0]
    stack = sort_stack(headers)
    n_slices, n_frames = len(stack.order), len(stack.order[0])
    limits.check_declared_size(first.path, (n_frames, n_slices, first.rows, first.columns), 4)
    images = [_pixels(headers[index]) for indices in stack.order for index in indices]
    # Slices may be scaled to different types; numpy finds the one that holds them all.
    data = np.stack(images)
    if n_frames == 1:
        return Volume(data, stack.geometry, SPATIAL_AXES, first.modality, _source(first))
    data = data.reshape(n_slices, n_frames, first.rows, first.columns)
    data = np.ascontiguousarray(data.swapaxes(0, 1))
    axes = ("frames", *SPATIAL_AXES)
    return Volume(data, stack.geometry, axes, first.modality, _source(first), stack.frame_step)


def _pixels(header: DicomHeader) -> NDArray[Any]:
    """Read the voxels of a file, rescaled, without its axis of a single slice."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(header.path))
    try:
        data: NDArray[Any] = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise limits.damaged(header.path) from error
    return data[0] if header.frames == 1 and data.shape[0] == 1 else data


def _source(header: DicomHeader) -> str:
    """Return a name that is the same for the same series and tells nothing about it."""
    return "dicom-" + hashlib.sha256(header.series_uid.encode()).hexdigest()[:12]
