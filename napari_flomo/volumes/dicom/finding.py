"""Which images are meant by a path: a folder, a DICOMDIR, or one file of a series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.files import INDEX, dicom_files, dicom_files_below, listed_files
from napari_flomo.volumes.dicom.header import Plane, read_planes
from napari_flomo.volumes.dicom.series import choose, entries_of
from napari_flomo.volumes.dicom.sorting import is_parallel


@dataclass(frozen=True)
class Choice:
    """The images of one volume.

    Attributes
    ----------
    planes
        In no order; a single one for a film or an image that is alone.
    notes
        Sentences about what had to be decided.
    """

    planes: Sequence[Plane]
    notes: tuple[str, ...] = ()


def find(path: Path, series: str | int | None) -> Choice:
    """Find the images of one volume.

    Parameters
    ----------
    path, series
        As for `reading.read_dicom`.

    Raises
    ------
    FlomoError
        If there is no image, a file is damaged, or several series fit.
    """
    if path.is_dir():
        return _in_folder(path, series)
    if path.name.upper() == INDEX:
        return _in_file_set(path, series)
    return _around(path, series)


def _planes(files: Iterable[Path]) -> list[Plane]:
    return [plane for file in files for plane in read_planes(file) or ()]


def _in_folder(folder: Path, series: str | int | None) -> Choice:
    planes = _planes(dicom_files(folder))
    below: tuple[str, ...] = ()
    if not planes:
        planes = _planes(dicom_files_below(folder))
        below = ("The images lie in folders below the one that was given.",) if planes else ()
    if not planes:
        raise FlomoError(
            f"The folder {folder} holds no DICOM images, nor do the folders in it; choose the "
            "folder of the series."
        )
    choice = _chosen(planes, series, folder)
    return Choice(choice.planes, (*below, *choice.notes))


def _in_file_set(index: Path, series: str | int | None) -> Choice:
    files, missing = listed_files(index)
    planes = _planes(files)
    if not planes:
        raise FlomoError(
            f"None of the images that {index} lists are there; copy the whole CD, or choose the "
            "folder of the series."
        )
    choice = _chosen(planes, series, index.parent)
    if not missing:
        return choice
    lost = (
        f"{missing} {'file that the DICOMDIR lists is' if missing == 1 else 'files that the '}"
        f"{'' if missing == 1 else 'DICOMDIR lists are'} missing."
    )
    return Choice(choice.planes, (lost, *choice.notes))


def _chosen(planes: Sequence[Plane], series: str | int | None, folder: Path) -> Choice:
    entry, note = choose(entries_of(planes), series, str(folder))
    notes = [note] if note else []
    if len(entry.groups) > 1:
        notes.append(
            f"{len(entry.groups)} series of one slice each were joined into one stack of slices."
        )
    return Choice(entry.planes, tuple(notes))


def _around(path: Path, series: str | int | None) -> Choice:
    """Return the series that a file belongs to, of the files in its folder.

    The file stays alone if it is a film or in colour, does not say where it lies, or its series is
    no stack of parallel planes.
    """
    own = read_planes(path)
    if own is None:
        raise FlomoError(f"{path.name} is DICOM, but not an image; choose an image file.")
    first = own[0]
    if series is not None:
        choose(entries_of(own), series, path.name)
    if (
        (first.index is None and first.file.frames > 1)
        or first.file.samples > 1
        or None in (first.position, first.orientation, first.pixel_spacing)
    ):
        return Choice(own)
    others = [file for file in dicom_files(path.parent) if not file.samefile(path)]
    planes = [*own, *(plane for plane in _planes_of_others(others))]
    entry = next(
        entry for entry in entries_of(planes) if first.file.series_uid in entry.uids
    )
    files = {plane.file.path for plane in entry.planes}
    if path not in files or len(files) == 1:
        return Choice(own)
    size = (first.file.rows, first.file.columns)
    for plane in entry.planes:
        alike = (plane.file.rows, plane.file.columns) == size
        placed = None not in (plane.position, plane.orientation, plane.pixel_spacing)
        if not (alike and placed and is_parallel(plane, first)):
            return Choice(
                own,
                (
                    "The other images of its series have another size or direction, so the file "
                    "was read alone.",
                ),
            )
    notes = [f"The file is one of {len(files)} of its series, which was read as a whole."]
    if len(entry.groups) > 1:
        notes.append(
            f"{len(entry.groups)} series of one slice each were joined into one stack of slices."
        )
    return Choice(entry.planes, tuple(notes))


def _planes_of_others(files: Iterable[Path]) -> Iterable[Plane]:
    """Yield the images of files beside the one that was asked for; a damaged one may be anything."""
    for file in files:
        yield from read_planes(file) or ()
