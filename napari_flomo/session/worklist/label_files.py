"""The files with the labels of a study: beside it, or in the user's data folder."""

from __future__ import annotations

import hashlib
import os
import re
from itertools import count
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.files import check_writable
from napari_flomo.session.worklist.records import StudyRecords
from napari_flomo.volumes import READABLE, Study, stem_of, suffix_of

_KINDS = "labels?|gt|seg|segmentation|labelmap|mask"
ENDING = "_labels.nii.gz"


def beside(root: Path, study: Study) -> list[Path]:
    """Return label files that are named like a study and lie beside it, the latest first."""
    folder, stem = _place(root, study)
    pattern = re.compile(rf"{re.escape(stem)}(?:[._-]\d+)?[._-](?:{_KINDS})", re.IGNORECASE)
    try:
        with os.scandir(folder) as entries:
            found = [
                Path(entry.path)
                for entry in entries
                if suffix_of(entry.name) in READABLE
                and pattern.fullmatch(stem_of(entry.name))
                and entry.is_file()
            ]
        return sorted(found, key=lambda path: -path.stat().st_mtime)
    except OSError:
        return []


def saved(root: Path, study: Study, records: StudyRecords, sha256: str) -> Path | None:
    """Return the labels of a study that were saved from a work list, if they are unchanged."""
    if not sha256:
        return None
    own = records.folder / (records.key(study.id) + ENDING)
    for path in (*beside(root, study), own):
        if path.is_file() and file_sha256(path) == sha256:
            return path
    return None


def where_to_save(root: Path, study: Study, records: StudyRecords, sha256: str) -> Path:
    """Return where to save labels: beside the study, or in the data folder where that is read-only.

    A file that was not saved from the list (``sha256`` is that of the last one) is never
    overwritten: another name is used.

    Raises
    ------
    FlomoError
        If neither place can be written.
    """
    folder, stem = _place(root, study)
    for number in count(1):
        middle = "" if number == 1 else f"_{number}"
        path = folder / f"{stem}{middle}{ENDING}"
        if not path.exists() or (sha256 and file_sha256(path) == sha256):
            break
    try:
        check_writable(path)
    except FlomoError:
        records.make_folder()
        path = records.folder / (records.key(study.id) + ENDING)
        check_writable(path)
    return path


def proposed_file(study: Study | str, records: StudyRecords) -> Path:
    """Return the file with what the network proposed for a study, where that was corrected."""
    id = study if isinstance(study, str) else study.id
    return records.folder / f"{records.key(id)}_proposed.nii.gz"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _place(root: Path, study: Study) -> tuple[Path, str]:
    """Return the folder for the labels of a study and the first part of their name."""
    if study.id == ".":
        return root, root.resolve().name
    path = root / study.id
    if study.series:
        return path.parent, path.name
    stem, suffix = stem_of(path), suffix_of(path)
    same = [other for other in path.parent.glob(f"{_escaped(stem)}.*") if other != path]
    if any(stem_of(other) == stem and suffix_of(other) in READABLE for other in same):
        stem += suffix.replace(".", "_")  # a.nii and a.nrrd are two studies
    return path.parent, stem


def _escaped(name: str) -> str:
    import glob

    return glob.escape(name)
