"""Read DICOM series as volumes.

File names and the order in a folder do not matter: slices are ordered by their position along the
normal of the image plane, frames by their phase at each position. Names, dates and identifiers are
never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike
from napari_flomo.volumes import limits
from napari_flomo.volumes.dicom.duplicates import remove_duplicates
from napari_flomo.volumes.dicom.files import is_dicom
from napari_flomo.volumes.dicom.finding import Selection, find, find_among
from napari_flomo.volumes.dicom.naming import title_of
from napari_flomo.volumes.dicom.pixels import file_pixels, plane_pixels
from napari_flomo.volumes.dicom.planes import Plane, heart_cycles_of
from napari_flomo.volumes.dicom.series import anonymous_name
from napari_flomo.volumes.dicom.sorting import Stack, rotation_of, sort_stack
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_FILM_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.3",  # ultrasound multi-frame
    "1.2.840.10008.5.1.4.1.1.7.",  # multi-frame secondary capture
    "1.2.840.10008.5.1.4.1.1.12.",  # X-ray angiography, fluoroscopy
    "1.2.840.10008.5.1.4.1.1.77.1.1.1",  # endoscopic video
)


@dataclass(frozen=True)
class DicomSeries:
    """The files of a volume and its grid, found without reading voxels.

    Attributes
    ----------
    files
        ``[frame][slice]``, in the order in which `read_dicom` stacks them.
    geometry
        Grid of the volume.
    shape
        Numbers of frames, slices, rows and columns.
    planes
        ``[frame][slice]``, the header values of each image.
    """

    files: tuple[tuple[Path, ...], ...]
    geometry: Geometry
    shape: tuple[int, int, int, int]
    planes: tuple[tuple[Plane, ...], ...]


def read_dicom(path: Path, series: str | int | None = None) -> Volume:
    """Read the series of a folder, a DICOMDIR or a file, see `napari_flomo.volumes.read`.

    Subfolders are searched if a folder has no images; a file stands for its series in the same
    folder. The volume is (slices, rows, columns), with frames first if every slice has several
    phases. Slices run along the normal of the image plane (rows' direction x columns' direction),
    frames in the order of temporal position, trigger time, acquisition time or instance number.
    Rescale slope and intercept are applied, and MONOCHROME1 is inverted.
    """
    return _volume(find(path, series))


def read_dicom_among(paths: Sequence[Path], series: str | int | None = None) -> Volume:
    """Read a series among several files and folders."""
    return _volume(find_among(paths, series))


def find_series(path: PathLike, series: str | int | None = None) -> DicomSeries:
    """Return the files of a DICOM series in the order in which `read` stacks them.

    Parameters
    ----------
    path, series
        As for `napari_flomo.volumes.read`.

    Raises
    ------
    FlomoError
        As `read`, and if it is no DICOM series of single images or enhanced files.
    """
    source = Path(path)
    if not source.is_dir() and not is_dicom(source):
        raise FlomoError(f"{source} is not DICOM; choose the folder that holds the DICOM series.")
    selection = find(source, series)
    first = selection.planes[0]
    if first.index is None and first.file.frames > 1:
        raise FlomoError(
            f"{first.file.path.name} holds several images, not one; this works with a series of "
            "single images or enhanced multi-frame files only."
        )
    if len(selection.planes) == 1 and first.index is None:
        planes, stack = selection.planes, Stack(_geometry_of(first), [[0]])
    else:
        planes, stack, _ = _sorted(selection)
    frames = [[planes[index] for index in frame] for frame in zip(*stack.order, strict=True)]
    return DicomSeries(
        tuple(tuple(plane.file.path for plane in frame) for frame in frames),
        stack.geometry,
        (len(frames), len(frames[0]), first.file.rows, first.file.columns),
        tuple(map(tuple, frames)),
    )


def _volume(selection: Selection) -> Volume:
    single = len(selection.planes) == 1 and selection.planes[0].index is None
    volume = _single(selection) if single else _stack(selection)
    return replace(
        volume,
        title=title_of(selection.planes),
        slice_thickness=_thickness(selection.planes),
        heart_cycles=heart_cycles_of(selection.planes),
    )


def _thickness(planes: Sequence[Plane]) -> float | None:
    """Return the slice thickness in mm; None if it is unknown or differs."""
    found = {plane.thickness for plane in planes}
    known = [one for one in found if one is not None]
    alike = len(known) == len(found) and max(known) - min(known) <= 0.01 * max(known)
    return known[0] if alike else None


def _sorted(selection: Selection) -> tuple[Sequence[Plane], Stack, tuple[str, ...]]:
    """Return the images without duplicates, their order, and notes about both."""
    planes, left_out = remove_duplicates(selection.planes)
    notes = selection.notes
    if left_out == 1:
        notes = (*notes, "1 file is a copy of others of the series and was left out.")
    elif left_out:
        notes = (*notes, f"{left_out} files are copies of others of the series and were left out.")
    if any(plane.file.frames > 1 and plane.index is None for plane in planes):
        raise FlomoError(
            "The series consists of several multi-frame files without the position of each frame; "
            "open one of them."
        )
    stack = sort_stack(planes)
    return planes, stack, (*notes, *stack.notes)


def _single(selection: Selection) -> Volume:
    """Read a file that holds a whole volume."""
    plane = selection.planes[0]
    file = plane.file
    if file.frames > 1 and not file.sop_class.startswith(_FILM_CLASSES):
        raise FlomoError(
            f"{file.path.name} holds {file.frames} images without their positions (it has no "
            "functional groups), so they cannot be stacked; export them as single images, or "
            "convert them to NIfTI first (for example with dcm2niix)."
        )
    channels = file.samples if file.samples > 1 else 1
    limits.check_declared_size(file.path, (file.frames, file.rows, file.columns, channels), 2)
    data = file_pixels(file)
    axes: tuple[str, ...] = SPATIAL_AXES
    step_seconds = None
    if file.frames == 1:
        data = data[np.newaxis]
    else:
        data = data[:, np.newaxis]
        axes = ("frames", *axes)
        step_seconds = file.frame_time / 1000 if file.frame_time else None
    if channels > 1:
        axes = (*axes, "channels")
    source = anonymous_name([file.series_uid])
    return Volume(
        data, _geometry_of(plane), axes, file.modality, source, step_seconds, notes=selection.notes
    )


def _geometry_of(plane: Plane) -> Geometry:
    """Return the grid of a file that holds a whole volume."""
    if plane.pixel_spacing is None:
        return Geometry.unknown()
    row_step, column_step = plane.pixel_spacing
    # A single slice has no neighbour; its thickness is the best estimate of the step.
    step = plane.spacing_between or plane.thickness or 1.0
    rotation = tuple(rotation_of(plane).ravel().tolist())
    return Geometry((column_step, row_step, step), plane.position or (0.0, 0.0, 0.0), rotation)


def _stack(selection: Selection) -> Volume:
    """Read a series of images as slices, or as frames of slices."""
    planes, stack, notes = _sorted(selection)
    file = planes[0].file
    n_slices, n_frames = len(stack.order), len(stack.order[0])
    limits.check_declared_size(file.path, (n_frames, n_slices, file.rows, file.columns), 4)
    images = plane_pixels([planes[index] for indices in stack.order for index in indices])
    data = np.stack(images)  # slices may be scaled to different types
    source = anonymous_name(sorted({plane.file.series_uid for plane in planes}))
    if n_frames == 1:
        return Volume(data, stack.geometry, SPATIAL_AXES, file.modality, source, notes=notes)
    data = data.reshape(n_slices, n_frames, file.rows, file.columns)
    data = np.ascontiguousarray(data.swapaxes(0, 1))
    axes = ("frames", *SPATIAL_AXES)
    return Volume(data, stack.geometry, axes, file.modality, source, stack.frame_step, notes=notes)
