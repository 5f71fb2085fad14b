"""Which of the files that are opened together form one image."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import READABLE, group_files, suffix_of
from napari_flomo.volumes.dicom import is_dicom

_DICOM = (".dcm", ".dicom", ".ima")
_FILES_TO_PROBE = 50


class Opening:
    """The paths that are opened together, each of which napari gives to the reader by itself."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._group_of = {path: group for group in volume_groups(list(paths)) for path in group}
        self._taken: set[Path] = set()

    def take(self, path: Path) -> list[Path]:
        """Return the paths of the volume that a path belongs to; none if they were taken before."""
        group = self._group_of.get(path, [path])
        if path in self._taken:
            return []
        self._taken.update(group)
        return group


_OPENINGS: weakref.WeakKeyDictionary[Any, Opening] = weakref.WeakKeyDictionary()


def opening_of(path: Path) -> Opening | None:
    """Return what is being opened together with a path; None if it is opened alone.

    napari tells a reader nothing about the other files, but its `Viewer.open` shows a progress bar
    over all of them, which lives exactly as long as they are opened.
    """
    from napari.utils import progress

    for bar in tuple(progress._all_instances):
        paths = _paths_of(bar)
        if len(paths) > 1 and path in paths:
            if bar not in _OPENINGS:
                _OPENINGS[bar] = Opening(paths)
            return _OPENINGS[bar]
    return None


def volume_groups(paths: Sequence[Path]) -> list[list[Path]]:
    """Return the paths of each volume; what lies in a DICOM folder of the list belongs to that."""
    folders = [path for path in paths if path.is_dir() and holds_dicom(path)]
    inside: dict[Path, list[Path]] = {folder: [folder] for folder in folders}
    others: list[Path] = []
    for path in dict.fromkeys(paths):
        if path in inside:
            continue
        above = next((folder for folder in folders if folder in path.parents), None)
        (others if above is None else inside[above]).append(path)
    series = [path for path in others if _is_series_file(path)]
    alone = [[path] for path in others if path not in set(series)]
    return [*inside.values(), *group_files(series), *alone]


def is_dicom_file(path: Path) -> bool:
    """Return True if a file is DICOM by its suffix, or by its content where it has no other."""
    suffix = suffix_of(path)
    if suffix in _DICOM:
        return True
    try:
        return suffix not in READABLE and is_dicom(path)
    except FlomoError:
        return False


def holds_dicom(folder: Path) -> bool:
    """Return True if one of the first files of a folder is DICOM."""
    files = (entry for entry in folder.rglob("*") if entry.is_file())
    for file in islice(files, _FILES_TO_PROBE):
        try:
            with file.open("rb") as stream:
                if stream.read(132)[128:] == b"DICM":
                    return True
        except OSError:
            continue
    return False


def _is_series_file(path: Path) -> bool:
    return not path.is_dir() and path.name.upper() != "DICOMDIR" and is_dicom_file(path)


def _paths_of(bar: Any) -> list[Path]:
    """Return the paths that a progress bar of napari goes through; empty for other bars."""
    iterable = getattr(bar, "iterable", None)
    if not isinstance(iterable, list) or not all(isinstance(one, str) for one in iterable):
        return []
    return [Path(one) for one in iterable]
