"""Find the images that a path refers to: a folder, a DICOMDIR, or one file of a series."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.files import (
    INDEX,
    dicom_files,
    dicom_files_below,
    is_dicom,
    listed_files,
)
from napari_flomo.volumes.dicom.header import (
    DamagedImage,
    Plane,
    declared_class,
    read_planes,
)
from napari_flomo.volumes.dicom.joining import is_same_stack, join
from napari_flomo.volumes.dicom.series import (
    SeriesChoice,
    anonymous_name,
    choose_series,
    list_series,
    matches,
)
from napari_flomo.volumes.dicom.sorting import is_parallel

_LOOKED_AT_BELOW = 100
_FILE_SET = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Selection:
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


def find(path: Path, series: str | int | None) -> Selection:
    """Find the images of one volume.

    Parameters
    ----------
    path, series
        As for `reading.read_dicom`.
    """
    if path.is_dir():
        return _in_folder(path, series)
    if path.name.upper() == INDEX or declared_class(path) == _FILE_SET:
        return _in_file_set(path, series)
    return _around(path, series)


def find_among(paths: Sequence[Path], series: str | int | None) -> Selection:
    """Find the images of one volume among files and folders, those directly in them."""
    files = [file for path in paths for file in (dicom_files(path) if path.is_dir() else [path])]
    images = _Images(dict.fromkeys(files))
    if images.nothing():
        raise FlomoError("None of the files is a DICOM image; choose the images of one series.")
    return _chosen(images, series, paths[0].parent)


def split_stacks(folders: Sequence[Path]) -> list[list[Path]]:
    """Find folders that hold the slices of one stack, a series and a folder for each.

    Parameters
    ----------
    folders
        Folders of DICOM files. Of most, a single header is read.

    Returns
    -------
    list of list of Path
        The folders of each stack, in the order given; none for what is complete in one folder.
    """
    first = {folder: plane for folder in folders if (plane := _first_plane(folder)) is not None}
    rough: list[list[Path]] = []
    for folder, plane in first.items():
        fitting = (group for group in rough if is_same_stack([first[group[0]]], [plane]))
        same = next(fitting, None)
        if same is None:
            rough.append([folder])
        else:
            same.append(folder)
    found = []
    for group in rough:
        if len(group) == 1:
            continue
        try:
            images = [_planes(dicom_files(folder)) for folder in group]
        except FlomoError:  # reading the folder will say what is wrong
            continue
        if any(len({plane.file.series_uid for plane in planes}) != 1 for planes in images):
            continue
        stacks = [numbers for numbers in join(images) if len(numbers) > 1]
        found += [[group[number] for number in numbers] for numbers in stacks]
    return found


def series_name(path: Path) -> str | None:
    """Return an anonymous name for the series of a file, None if it is not an image."""
    planes = read_planes(path)
    return anonymous_name([planes[0].file.series_uid]) if planes else None


def holds_series(paths: Sequence[Path], series: str | int) -> bool:
    """Return False if files can be read and none is of the series.

    Parameters
    ----------
    paths, series
        As for `find_among`.
    """
    try:
        planes = _planes(file for path in paths for file in dicom_files(path))
    except FlomoError:  # reading it will say what is wrong
        return True
    return any(matches(entry, series) for entry in list_series(planes))


def _first_plane(folder: Path) -> Plane | None:
    """Return one image of a folder, to check whether it may be a slice of a stack."""
    try:
        planes = next(
            (planes for file in dicom_files(folder) if (planes := read_planes(file))), None
        )
    except FlomoError:
        return None
    if planes is None:
        return None
    plane = planes[0]
    unknown = None in (plane.position, plane.orientation, plane.pixel_spacing)
    return None if unknown or plane.file.samples > 1 else plane


def _planes(files: Iterable[Path]) -> list[Plane]:
    return [plane for file in files for plane in read_planes(file) or ()]


class _Images:
    """The images of some files, and which files are damaged."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.planes: list[Plane] = []
        self.damaged: list[DamagedImage] = []
        for file in files:
            try:
                self.planes += read_planes(file) or ()
            except DamagedImage as error:
                self.damaged.append(error)

    def nothing(self) -> bool:
        """Return True if there is no image."""
        if not self.planes and self.damaged:
            raise self.damaged[0]
        return not self.planes

    def check(self, uids: Sequence[str]) -> None:
        """Raise if a damaged file is of one of some series, or may be: it would be missing."""
        for error in self.damaged:
            if not error.series_uid or error.series_uid in uids:
                raise error


def _in_folder(folder: Path, series: str | int | None) -> Selection:
    images = _Images(dicom_files(folder))
    here = not images.nothing()
    if here and series is not None:
        here = any(matches(entry, series) for entry in list_series(images.planes))
    if not here:
        below = _Images(dicom_files_below(folder))
        if not below.nothing():
            selection = _chosen(below, series, folder)
            note = "The images lie in folders below the one that was given."
            return Selection(selection.planes, (note, *selection.notes))
    if images.nothing():
        raise FlomoError(
            f"The folder {folder} holds no DICOM images, nor do the folders in it; choose the "
            "folder of the series."
        )
    selection = _chosen(images, series, folder)
    if not _goes_on_below(folder, {plane.file.series_uid for plane in selection.planes}):
        return selection
    note = "Folders below hold images of the same series, which were left out."
    return Selection(selection.planes, (*selection.notes, note))


def _goes_on_below(folder: Path, uids: Container[str]) -> bool:
    """Return True if one of the first files in the folders of a folder is of some series."""
    files = (
        file for child in sorted(folder.iterdir()) if child.is_dir() for file in _visible(child)
    )
    for file in islice(files, _LOOKED_AT_BELOW):
        try:
            planes = read_planes(file) if is_dicom(file) else None
        except FlomoError:  # it is none of those that were asked for
            continue
        if planes and planes[0].file.series_uid in uids:
            return True
    return False


def _visible(folder: Path) -> Iterator[Path]:
    if folder.name.startswith("."):
        return
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(place, name) for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if file.is_file())


def _in_file_set(index: Path, series: str | int | None) -> Selection:
    files, missing = listed_files(index)
    images = _Images(files)
    if images.nothing():
        raise FlomoError(
            f"None of the images that {index} lists are there; copy the whole CD, or choose the "
            "folder of the series."
        )
    selection = _chosen(images, series, index.parent)
    if not missing:
        return selection
    those = (
        "file that the DICOMDIR lists is" if missing == 1 else "files that the DICOMDIR lists are"
    )
    return Selection(selection.planes, (f"{missing} {those} missing.", *selection.notes))


def _chosen(images: _Images, series: str | int | None, folder: Path) -> Selection:
    entry, note = choose_series(list_series(images.planes), series, str(folder))
    images.check(entry.uids)
    notes = [note] if note else []
    if len(entry.groups) > 1:
        notes.append(
            f"{len(entry.groups)} series of one slice each were joined into one stack of slices."
        )
    return Selection(entry.planes, tuple(notes))


def _around(path: Path, series: str | int | None) -> Selection:
    """Return the series that a file belongs to, of the files in its folder.

    The file stays alone if it is a film or in colour, does not say where it lies, or its series is
    no stack of parallel planes.
    """
    own = read_planes(path)
    if own is None:
        raise FlomoError(f"{path.name} is DICOM, but not an image; choose an image file.")
    first = own[0]
    single = Selection(own)
    if (
        (first.index is None and first.file.frames > 1)
        or first.file.samples > 1
        or None in (first.position, first.orientation, first.pixel_spacing)
    ):
        _check_called(list_series(own)[0], series, path)
        return single
    others = _Images(file for file in dicom_files(path.parent) if file.name != path.name)
    planes = [*own, *others.planes]
    entry = next(entry for entry in list_series(planes) if first.file.series_uid in entry.uids)
    _check_called(entry, series, path)
    files = {plane.file.path for plane in entry.planes}
    if path not in files or len(files) == 1:
        return single
    size = (first.file.rows, first.file.columns)
    for plane in entry.planes:
        is_same_stack = (plane.file.rows, plane.file.columns) == size
        placed = None not in (plane.position, plane.orientation, plane.pixel_spacing)
        if not (is_same_stack and placed and is_parallel(plane, first)):
            return Selection(
                own,
                (
                    "The other images of its series have another size or direction, so the file "
                    "was read alone.",
                ),
            )
    others.check(entry.uids)
    notes = [f"The file is one of {len(files)} of its series, which was read as a whole."]
    if len(entry.groups) > 1:
        notes.append(
            f"{len(entry.groups)} series of one slice each were joined into one stack of slices."
        )
    return Selection(entry.planes, tuple(notes))


def _check_called(entry: SeriesChoice, series: str | int | None, path: Path) -> None:
    if series is not None and not matches(entry, series):
        raise FlomoError(
            f"{path.name} belongs to the series {entry.describe()}, not to {series}; give the "
            "folder to choose another one."
        )
