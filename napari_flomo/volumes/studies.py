"""Find the studies below a folder.

A study is a volume file, or a folder with the files of a DICOM series. Its id is its path relative
to the input folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import PathLike
from napari_flomo.volumes.data_files import data_files
from napari_flomo.volumes.formats import suffix_of

MARKER = "flomo-cohort.json"
"""A folder with this file holds results and is not searched."""

SUFFIXES = {
    "stack": (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".nrrd", ".nhdr", ".mha", ".mhd"),
    "photo": (".png", ".jpg", ".jpeg", ".tif", ".tiff"),
}
"""Suffixes by kind of input; a stack may also be a DICOM series."""

_DICOM = (".dcm", ".dicom", ".ima")
_NEVER_DICOM = {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf"}
_NEVER_DICOM |= {".log", ".py", ".m", ".mat", ".raw", ".zraw", ".gz", ".zip", ".bval", ".bvec"}
_NEVER_DICOM |= {suffix for kind in SUFFIXES.values() for suffix in kind}
_SNIFFED = 16
"""Files with an unknown suffix that are opened to find out whether a folder is a DICOM series."""

_LABELS = re.compile(
    r"(?:.*[._-])?(?:gt|seg|segmentation|labels?|labelmap|mask)"
    r"|uncertainty|doubt|entropy|probabilities"
)

OnSkip = Callable[[str, str], None]
"""Called with the path of what is skipped and the reason."""


@dataclass(frozen=True, slots=True)
class Study:
    """One image to segment.

    ``id`` is the path relative to the input folder, with slashes; ``"."`` if the folder itself is a
    series. ``series`` is True for a folder with a DICOM series; ``parts`` are the folders of the
    other slices if each slice is a series in its own folder.
    """

    id: str
    series: bool = False
    parts: tuple[str, ...] = ()

    def paths(self, root: Path) -> list[Path]:
        """Return the file or folders of the study."""
        return [root / one for one in (self.id, *self.parts)]


@dataclass(frozen=True)
class StudyFilter:
    """Selects studies.

    Attributes
    ----------
    kind
        ``"stack"`` or ``"photo"``, as in a model's card.
    patterns
        Shell patterns of ids, of which one must match (``*`` also matches slashes); by default all.
        Files that match are used even if they are named like labels.
    exclude
        Patterns of ids to skip.
    series
        Number, description or UID of the series to use in DICOM folders.
    """

    kind: str = "stack"
    patterns: Sequence[str] = ()
    exclude: Sequence[str] = ()
    series: str | None = None

    def reason_to_skip(self, study: Study) -> str | None:
        """Return why a study is skipped, or None."""
        if any(fnmatchcase(study.id, pattern) for pattern in self.exclude):
            return "excluded"
        if self.patterns:
            matched = any(fnmatchcase(study.id, pattern) for pattern in self.patterns)
            return None if matched else "does not match"
        if not study.series and is_label_name(study.id):
            return "named like labels"
        return None


def find_studies(
    folder: PathLike, study_filter: StudyFilter | None = None, on_skip: OnSkip | None = None
) -> Iterator[Study]:
    """Find the studies below a folder, in the order of their names.

    Hidden files and folders, and folders with results of this program, are skipped. Links to files
    count as files. Links to folders are followed unless their target is found anyway.

    Parameters
    ----------
    folder
        Folder to search, at any depth.
    study_filter
        Which studies to return; by default all stacks.
    on_skip
        Called with path and reason for everything that looks like a study but is skipped.

    Yields
    ------
    Study
        An unreadable folder is returned as a series, so that reading it reports why.

    Raises
    ------
    FlomoError
        If the folder does not exist, cannot be read, or holds results.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FlomoError(f"There is no folder {root}; check the spelling.")
    try:
        marked = MARKER in {path.name for path in root.iterdir()}
    except OSError as error:
        raise FlomoError(f"The folder {root} cannot be read: {reason_of(error)}.") from error
    if marked:
        raise FlomoError(
            f"{root} holds results of flomo segment-many; give the folder of the images."
        )
    from napari_flomo.volumes.dicom import holds_series

    study_filter = study_filter or StudyFilter()
    report = on_skip or (lambda _path, _reason: None)
    walk = _Walk(root.resolve(), study_filter.kind, report)
    for study in walk.below(str(root), ""):
        reason = study_filter.reason_to_skip(study)
        wanted = study_filter.series if study.series else None
        if reason is None and wanted and not holds_series(study.paths(root), wanted):
            reason = f"no series {wanted}"
        if reason is None:
            yield study
        elif reason != "does not match":
            report(study.id, reason)


def is_label_name(name: str) -> bool:
    """Return True if a file is named like labels or an uncertainty map."""
    stem = name.rpartition("/")[2].lower()
    suffix = suffix_of(stem)
    return _LABELS.fullmatch(stem[: len(stem) - len(suffix)]) is not None


def files_of(study: Study, root: Path) -> list[Path]:
    """Return the files of a study: its image, or all files of a series in order of their names.

    A header (``.hdr``, ``.nhdr``, ``.mhd``) is followed by the files that hold its voxels.
    """
    if study.series:
        return [
            path
            for folder in study.paths(root)
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        ]
    path = root / study.id
    return [path, *data_files(path)]


def stamp_of(study: Study, root: Path) -> str | None:
    """Return a stamp that changes with the files of a study; None if they are gone."""
    digest = hashlib.sha256()
    try:
        for path in files_of(study, root):
            state = path.stat()
            digest.update(
                f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(
                    "utf-8", "surrogateescape"
                )
            )
    except OSError:
        return None
    return digest.hexdigest()[:16]


class _Walk:
    """Walks through folders, visiting each real folder once."""

    def __init__(self, root: Path, kind: str, report: OnSkip) -> None:
        self._root = root
        self._suffixes = SUFFIXES[kind]
        self._series = kind == "stack"
        self._report = report
        self._elsewhere: set[Path] = set()  # real folders that links led to
        self._parts: dict[str, tuple[str, ...] | None] = {}  # by folder with slices of a stack

    def below(self, place: str, prefix: str) -> Iterator[Study]:
        """Yield the files of a folder, the folder itself if it is a series, and its subfolders."""
        try:
            with os.scandir(place) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            yield Study(prefix.rstrip("/"), series=True)
            return
        listed = [entry for entry in listed if not entry.name.startswith(".")]
        if any(entry.name == MARKER for entry in listed):
            self._report(prefix.rstrip("/"), "results of this program")
            return
        folders: list[os.DirEntry[str]] = []
        others: list[os.DirEntry[str]] = []
        for entry in listed:
            if _is_folder(entry):
                folders.append(entry)
            elif suffix_of(entry.name) in self._suffixes:
                yield Study(prefix + entry.name)
            else:
                others.append(entry)
        if self._series and _has_dicom(others):
            parts = self._parts.get(prefix, ())
            if parts is not None:
                yield Study(prefix.rstrip("/") or ".", series=True, parts=parts)
        if self._series:
            self._join(folders, prefix)
        for entry in folders:
            path = prefix + entry.name
            if entry.is_symlink() and not self._worth_following(entry.path):
                self._report(path, "a link to a folder that is found without it")
                continue
            yield from self.below(entry.path, path + "/")

    def _join(self, folders: Sequence[os.DirEntry[str]], prefix: str) -> None:
        """Record which folders hold the slices of one stack."""
        candidates = {Path(entry.path): entry.name for entry in folders if _is_dicom_folder(entry)}
        if len(candidates) < 2:
            return
        from napari_flomo.volumes.dicom import split_stacks

        for stack in split_stacks(list(candidates)):
            names = [prefix + candidates[folder] for folder in stack]
            self._parts |= {f"{name}/": None for name in names}
            self._parts[f"{names[0]}/"] = tuple(names[1:])

    def _worth_following(self, link: str) -> bool:
        real = Path(link).resolve()
        known = (self._root, *self._elsewhere)
        # A folder that contains the root, or a folder seen before, would reach it again.
        if any(real.is_relative_to(place) or place.is_relative_to(real) for place in known):
            return False
        self._elsewhere.add(real)
        return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # an endless chain of links, or no permission
        return False


def _is_dicom_folder(entry: os.DirEntry[str]) -> bool:
    """Return True for a folder, not a link, that holds DICOM files."""
    try:
        if entry.is_symlink() or entry.name.startswith("."):
            return False
        with os.scandir(entry.path) as entries:
            return _has_dicom([one for one in entries if not _is_folder(one)])
    except OSError:
        return False


def _has_dicom(entries: Sequence[os.DirEntry[str]]) -> bool:
    """Return True if one of the files is DICOM, opening few of them."""
    if any(suffix_of(entry.name) in _DICOM for entry in entries):
        return True
    candidates = [
        entry
        for entry in entries
        if suffix_of(entry.name) not in _NEVER_DICOM and entry.name.upper() != "DICOMDIR"
    ]
    return any(_looks_like_dicom(entry) for entry in candidates[:_SNIFFED])


def _looks_like_dicom(entry: os.DirEntry[str]) -> bool:
    from napari_flomo.volumes.dicom import is_dicom

    try:
        return entry.is_file() and is_dicom(Path(entry.path))
    except (OSError, FlomoError):
        return False
