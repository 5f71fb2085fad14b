"""Find the images that a path refers to: a folder, a DICOMDIR, or one file of a series."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike
from napari_flomo.volumes.dicom.files import (
    INDEX,
    dicom_files,
    dicom_files_below,
    is_dicom,
    listed_files,
)
from napari_flomo.volumes.dicom.header import DamagedImage, declared_class, read_planes
from napari_flomo.volumes.dicom.joining import is_same_stack, join
from napari_flomo.volumes.dicom.planes import Plane
from napari_flomo.volumes.dicom.series import (
    SeriesChoice,
    choose_series,
    list_series,
    matches,
)
from napari_flomo.volumes.dicom.sorting import is_parallel

_MOST_CHECKED_BELOW = 100
_FILE_SET = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Selection:
    """The unsorted images of one volume, and notes for the user about how they were selected."""

    planes: Sequence[Plane]
    notes: tuple[str, ...] = ()


def find(path: Path, series: str | int | None) -> Selection:
    """Find the images of one volume, see `reading.read_dicom`."""
    if path.is_dir():
        return _find_in_folder(path, series)
    if path.name.upper() == INDEX or declared_class(path) == _FILE_SET:
        return _find_in_file_set(path, series)
    return _find_series_of_file(path, series)


def find_among(paths: Sequence[Path], series: str | int | None) -> Selection:
    """Find the images of one volume among files, and files directly in folders."""
    files = [file for path in paths for file in (dicom_files(path) if path.is_dir() else [path])]
    images = _Images(dict.fromkeys(files))
    if images.is_empty():
        raise FlomoError("None of the files is a DICOM image; choose the images of one series.")
    return _choose(images, series, paths[0].parent)


def split_stacks(folders: Sequence[PathLike]) -> list[list[Path]]:
    """Find DICOM stacks whose slices are separate series in separate folders.

    Parameters
    ----------
    folders
        Folders of DICOM files. Of most, a single header is read.

    Returns
    -------
    list of list of Path
        The folders of each stack, in the given order, for `napari_flomo.volumes.read_series`.
    """
    planes = {Path(folder): _first_plane(Path(folder)) for folder in folders}
    first = {folder: plane for folder, plane in planes.items() if plane is not None}
    rough: list[list[Path]] = []
    for folder, plane in first.items():
        same = (group for group in rough if is_same_stack([first[group[0]]], [plane]))
        if (stack := next(same, None)) is None:
            rough.append([folder])
        else:
            stack.append(folder)
    found = []
    for group in rough:
        if len(group) == 1:
            continue
        try:
            images = [_planes(dicom_files(folder)) for folder in group]
        except FlomoError:  # reported when the folder is read
            continue
        if any(len({plane.file.series_uid for plane in planes}) != 1 for planes in images):
            continue
        stacks = [numbers for numbers in join(images) if len(numbers) > 1]
        found += [[group[number] for number in numbers] for numbers in stacks]
    return found


def group_files(files: Sequence[PathLike]) -> list[list[Path]]:
    """Group DICOM files by the volumes that they form.

    Parameters
    ----------
    files
        Files only; their headers are read.

    Returns
    -------
    list of list of Path
        The files of one series, or of a stack of series of one slice each, for
        `napari_flomo.volumes.read_series`. A film, an image that is not parallel to the others of
        its series, and a file that is damaged or no image are each alone. Groups are in the order
        of their first files.
    """
    paths = list(dict.fromkeys(Path(file) for file in files))
    planes: list[Plane] = []
    for path in paths:
        try:
            planes += read_planes(path) or ()
        except FlomoError:  # reported when the file is read
            continue
    group_of = {path: number for number, path in enumerate(paths)}
    slices = [plane for plane in planes if plane.may_be_slice and not _is_film(plane)]
    for entry in list_series(slices):
        if _is_one_stack(entry.planes, entry.planes[0]):
            members = {plane.file.path for plane in slices if plane.file.series_uid in entry.uids}
            first = min(group_of[path] for path in members)
            group_of |= dict.fromkeys(members, first)
    groups: dict[int, list[Path]] = {}
    for path in paths:
        groups.setdefault(group_of[path], []).append(path)
    return list(groups.values())


def holds_series(folders: Sequence[PathLike], series: str | int) -> bool:
    """Return False if the DICOM files in folders can be read and none belongs to a series."""
    try:
        planes = _planes(file for folder in folders for file in dicom_files(Path(folder)))
    except FlomoError:  # reported when the series is read
        return True
    return any(matches(entry, series) for entry in list_series(planes))


def _first_plane(folder: Path) -> Plane | None:
    """Return one image of a folder if it may be a slice of a stack."""
    try:
        found = (planes[0] for file in dicom_files(folder) if (planes := read_planes(file)))
        plane = next(found, None)
    except FlomoError:
        return None
    return plane if plane is not None and plane.may_be_slice else None


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

    def is_empty(self) -> bool:
        """Return True if there is no image; raise if all images are damaged."""
        if not self.planes and self.damaged:
            raise self.damaged[0]
        return not self.planes

    def check(self, uids: Sequence[str]) -> None:
        """Raise if a damaged file belongs to some series, or may belong to them."""
        for error in self.damaged:
            if not error.series_uid or error.series_uid in uids:
                raise error


def _find_in_folder(folder: Path, series: str | int | None) -> Selection:
    images = _Images(dicom_files(folder))
    here = not images.is_empty()
    if here and series is not None:
        here = any(matches(entry, series) for entry in list_series(images.planes))
    if not here:
        below = _Images(dicom_files_below(folder))
        if not below.is_empty():
            selection = _choose(below, series, folder)
            note = "The images lie in folders below the one that was given."
            return Selection(selection.planes, (note, *selection.notes))
    if images.is_empty():
        raise FlomoError(
            f"The folder {folder} holds no DICOM images, nor do the folders in it; choose the "
            "folder of the series."
        )
    selection = _choose(images, series, folder)
    if not _has_images_below(folder, {plane.file.series_uid for plane in selection.planes}):
        return selection
    note = "Folders below hold images of the same series, which were left out."
    return Selection(selection.planes, (*selection.notes, note))


def _has_images_below(folder: Path, uids: Container[str]) -> bool:
    """Return True if one of the first files in subfolders belongs to some series."""
    files = (
        file for child in sorted(folder.iterdir()) if child.is_dir() for file in _visible(child)
    )
    for file in islice(files, _MOST_CHECKED_BELOW):
        try:
            planes = read_planes(file) if is_dicom(file) else None
        except FlomoError:  # not an image of these series
            continue
        if planes and planes[0].file.series_uid in uids:
            return True
    return False


def _visible(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, except hidden ones."""
    if folder.name.startswith("."):
        return
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if file.is_file())


def _find_in_file_set(index: Path, series: str | int | None) -> Selection:
    files, missing = listed_files(index)
    images = _Images(files)
    if images.is_empty():
        raise FlomoError(
            f"None of the images that {index} lists are there; copy the whole CD, or choose the "
            "folder of the series."
        )
    selection = _choose(images, series, index.parent)
    if not missing:
        return selection
    files_are = "file that the DICOMDIR lists is"
    if missing > 1:
        files_are = "files that the DICOMDIR lists are"
    return Selection(selection.planes, (f"{missing} {files_are} missing.", *selection.notes))


def _choose(images: _Images, series: str | int | None, folder: Path) -> Selection:
    entry, note = choose_series(list_series(images.planes), series, str(folder))
    images.check(entry.uids)
    return Selection(entry.planes, (*([note] if note else []), *_joining_note(entry)))


def _joining_note(entry: SeriesChoice) -> tuple[str, ...]:
    count = len(entry.groups)
    note = f"{count} series of one slice each were joined into one stack of slices."
    return (note,) if count > 1 else ()


def _find_series_of_file(path: Path, series: str | int | None) -> Selection:
    """Return the images of a file's series in its folder.

    A film, a colour image, an image without a position, and one of a series that is no stack of
    parallel planes are read as a single file.
    """
    own = read_planes(path)
    if own is None:
        raise FlomoError(f"{path.name} is DICOM, but not an image; choose an image file.")
    first = own[0]
    if _is_film(first) or not first.may_be_slice:
        _check_series(list_series(own)[0], series, path)
        return Selection(own)
    others = _Images(file for file in dicom_files(path.parent) if file.name != path.name)
    planes = [*own, *others.planes]
    entry = next(entry for entry in list_series(planes) if first.file.series_uid in entry.uids)
    _check_series(entry, series, path)
    files = {plane.file.path for plane in entry.planes}
    if path not in files or len(files) == 1:
        return Selection(own)
    if not _is_one_stack(entry.planes, first):
        note = (
            "The other images of its series have another size or direction, so only this file "
            "was read."
        )
        return Selection(own, (note,))
    others.check(entry.uids)
    note = f"The file is one of {len(files)} of its series, which was read as a whole."
    return Selection(entry.planes, (note, *_joining_note(entry)))


def _is_film(plane: Plane) -> bool:
    """Return True for a multi-frame file without the position of each frame."""
    return plane.index is None and plane.file.frames > 1


def _is_one_stack(planes: Sequence[Plane], first: Plane) -> bool:
    """Return True if all images have the size and direction of one of them."""
    size = (first.file.rows, first.file.columns)
    return all(
        (plane.file.rows, plane.file.columns) == size
        and plane.has_position
        and is_parallel(plane, first)
        for plane in planes
    )


def _check_series(entry: SeriesChoice, series: str | int | None, path: Path) -> None:
    if series is not None and not matches(entry, series):
        raise FlomoError(
            f"{path.name} belongs to the series {entry.describe()}, not to {series}; give the "
            "folder to choose another one."
        )
