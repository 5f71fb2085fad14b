"""Find the DICOM files of a folder, without a DICOM library."""

from __future__ import annotations

import os
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits

PREAMBLE = 128
MAGIC = b"DICM"
MOST_FILES = 50_000
"""Limit of the files below a folder; a study with several cines has some thousands."""

INDEX = "DICOMDIR"
"""Name of the file that lists the files of a CD or another file set."""


def is_dicom(path: Path) -> bool:
    """Return True if the first bytes of a file are DICOM, with or without a preamble."""
    with limits.open_file(path) as stream:
        start = stream.read(PREAMBLE + 4)
    if start[PREAMBLE:] == MAGIC:
        return True
    # Old files start directly with group 0002 or 0008, the first element in little endian.
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00" and len(start) > 100


def dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM files directly in a folder, in the order of their names."""
    try:
        files = sorted(
            file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")
        )
    except PermissionError:
        raise limits.no_permission(folder) from None
    return [file for file in files if is_dicom(file)]


def dicom_files_below(folder: Path) -> list[Path]:
    """Return the DICOM files in all subfolders, except hidden and linked ones."""
    found: list[Path] = []
    count = 0

    def refuse(error: OSError) -> None:
        raise limits.no_permission(error.filename)

    for parent, folders, files in os.walk(folder, onerror=refuse):
        count += len(files)
        if count > MOST_FILES:
            raise FlomoError(
                f"There are more than {MOST_FILES} files below {folder}; choose the folder of one "
                "study."
            )
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if Path(parent) != folder:
            found += dicom_files(Path(parent))
    return found


def listed_files(index: Path) -> tuple[list[Path], int]:
    """Return the files that a DICOMDIR lists, and how many of them are missing.

    Names are compared without regard to case, as a CD may be mounted with names in lower case.
    """
    import pydicom
    from pydicom.config import disable_value_validation

    try:
        with disable_value_validation():
            records = pydicom.dcmread(index).DirectoryRecordSequence
            names = [_parts(record.get("ReferencedFileID")) for record in records]
    except Exception as error:
        raise limits.damaged(index, "it is a damaged DICOMDIR") from error
    listed = list(dict.fromkeys(parts for parts in names if parts))
    found = [path for parts in listed if (path := _resolve(index.parent, parts)) is not None]
    return [path for path in found if is_dicom(path)], len(listed) - len(found)


def _parts(value: object) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))  # type: ignore[call-overload]


def _resolve(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """Return the file of that name, or None."""
    exact = folder.joinpath(*parts)
    if exact.is_file():
        return exact
    path = folder
    for part in parts:
        if part in (".", "..") or not path.is_dir():
            return None
        same = (
            child
            for child in path.iterdir()
            # Some systems append the version of a file on a CD, and a dot to names without one.
            if child.name.casefold().removesuffix(";1").removesuffix(".") == part.casefold()
        )
        if (found := next(same, None)) is None:
            return None
        path = found
    return path if path.is_file() else None
