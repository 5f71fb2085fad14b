"""Which studies there are below a folder.

A study is one volume file, or one folder with the files of a DICOM series. It is called by its path
below the folder, which stays the same wherever the folder is moved and whatever is added to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike
from napari_flomo.volumes import holds_series, split_stacks, suffix_of

MARKER = "flomo-cohort.json"
"""A folder with this file holds results; nothing in it is taken for an image."""

SUFFIXES = {
    "stack": (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".nrrd", ".nhdr", ".mha", ".mhd"),
    "photo": (".png", ".jpg", ".jpeg", ".tif", ".tiff"),
}
"""What a model's kind of input looks like on a disk, beside DICOM series for stacks."""

_DICOM = (".dcm", ".dicom", ".ima")
_NEVER_DICOM = {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf"}
_NEVER_DICOM |= {".log", ".py", ".m", ".mat", ".raw", ".zraw", ".gz", ".zip", ".bval", ".bvec"}
_NEVER_DICOM |= {suffix for kind in SUFFIXES.values() for suffix in kind}
_SNIFFED = 16
"""Files without a telling suffix that are opened to see whether a folder is a DICOM series."""

_LABELS = re.compile(
    r"(?:.*[._-])?(?:gt|seg|segmentation|labels?|labelmap|mask)"
    r"|uncertainty|doubt|entropy|probabilities"
)

LeftOut = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Study:
    """One image to segment.

    Attributes
    ----------
    id
        Its path below the input folder, with slashes; ``"."`` where the folder itself is a series.
    series
        Whether it is a folder with a DICOM series; else it is a file.
    parts
        Paths of the folders with its other slices, where each slice has a series and a folder of
        its own.
    """

    id: str
    series: bool = False
    parts: tuple[str, ...] = ()

    def places(self, root: Path) -> list[Path]:
        """Return the file or folders that it consists of."""
        return [root / one for one in (self.id, *self.parts)]


@dataclass(frozen=True)
class Choice:
    """Which of the studies are wanted.

    Attributes
    ----------
    kind
        ``"stack"`` or ``"photo"``, as in a model's card.
    patterns
        Shell patterns of ids, of which one must match (``*`` also stands for slashes); all are
        wanted where there is none. Whoever names files by a pattern means them, also where their
        names look like those of labels.
    exclude
        Patterns of ids that are not wanted.
    series
        Number, description or UID of the series that DICOM folders must hold.
    """

    kind: str = "stack"
    patterns: Sequence[str] = ()
    exclude: Sequence[str] = ()
    series: str | None = None

    def refusal(self, study: Study) -> str | None:
        """Return why a study is not wanted; None where it is."""
        if any(fnmatchcase(study.id, pattern) for pattern in self.exclude):
            return "excluded"
        if self.patterns:
            matched = any(fnmatchcase(study.id, pattern) for pattern in self.patterns)
            return None if matched else "does not match"
        if not study.series and is_label_name(study.id):
            return "named like labels"
        return None


def find_studies(
    folder: PathLike, choice: Choice | None = None, left_out: LeftOut | None = None
) -> Iterator[Study]:
    """Find the studies below a folder, in the order of their names.

    Hidden files and folders are passed over, and so are folders with results of this program.
    Links to files count as files. Links to folders are followed, unless what they point to is
    found without them or was found before.

    Parameters
    ----------
    folder
        Where to look, at any depth.
    choice
        Which studies are wanted; by default all stacks.
    left_out
        Told the path and the reason of what looked like a study and is left out.

    Yields
    ------
    Study
        Folders that cannot be read are given as series, so that reading them says why.

    Raises
    ------
    FlomoError
        If the folder is not there, cannot be read, or holds results itself.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FlomoError(f"There is no folder {root}; check the spelling.")
    try:
        marked = MARKER in {path.name for path in root.iterdir()}
    except OSError as error:
        raise FlomoError(f"The folder {root} cannot be read: {error.strerror or error}.") from error
    if marked:
        raise FlomoError(
            f"{root} holds results of flomo segment-many; give the folder of the images."
        )
    choice = choice or Choice()
    report = left_out or (lambda _path, _reason: None)
    walk = _Walk(root.resolve(), choice.kind, report)
    for study in walk.below(str(root), ""):
        reason = choice.refusal(study)
        wanted = choice.series if study.series else None
        if reason is None and wanted and not holds_series(study.places(root), wanted):
            reason = f"no series {wanted}"
        if reason is None:
            yield study
        elif reason != "does not match":
            report(study.id, reason)


def is_label_name(name: str) -> bool:
    """Tell whether a file is named as labels and maps of uncertainty usually are."""
    stem = name.rpartition("/")[2].lower()
    suffix = suffix_of(stem)
    return _LABELS.fullmatch(stem[: len(stem) - len(suffix)]) is not None


class _Walk:
    """Goes through folders, each real one once."""

    def __init__(self, root: Path, kind: str, report: LeftOut) -> None:
        self._root = root
        self._suffixes = SUFFIXES[kind]
        self._series = kind == "stack"
        self._report = report
        self._elsewhere: set[Path] = set()  # real folders that links have led to
        self._parts: dict[str, tuple[str, ...] | None] = {}  # of folders with slices of a stack

    def below(self, place: str, prefix: str) -> Iterator[Study]:
        """Yield what a folder holds: its files, itself if it is a series, its folders."""
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
        """Note which of some folders hold the slices of one stack."""
        candidates = {Path(entry.path): entry.name for entry in folders if _is_dicom_folder(entry)}
        if len(candidates) < 2:
            return
        for stack in split_stacks(list(candidates)):
            names = [prefix + candidates[folder] for folder in stack]
            self._parts |= {f"{name}/": None for name in names}
            self._parts[f"{names[0]}/"] = tuple(names[1:])

    def _worth_following(self, link: str) -> bool:
        real = Path(link).resolve()
        known = (self._root, *self._elsewhere)
        # What holds the root, or a folder seen before, would come to it again.
        if any(real.is_relative_to(place) or place.is_relative_to(real) for place in known):
            return False
        self._elsewhere.add(real)
        return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a chain of links that never ends, or one that may not be looked at
        return False


def _is_dicom_folder(entry: os.DirEntry[str]) -> bool:
    """Return True if a folder, no link to one, holds DICOM files."""
    try:
        if entry.is_symlink() or entry.name.startswith("."):
            return False
        with os.scandir(entry.path) as entries:
            return _has_dicom([one for one in entries if not _is_folder(one)])
    except OSError:
        return False


def _has_dicom(entries: Sequence[os.DirEntry[str]]) -> bool:
    """Tell whether one of some files is DICOM, opening few of them."""
    if any(suffix_of(entry.name) in _DICOM for entry in entries):
        return True
    candidates = [
        entry
        for entry in entries
        if suffix_of(entry.name) not in _NEVER_DICOM and entry.name.upper() != "DICOMDIR"
    ]
    return any(_looks_like_dicom(entry) for entry in candidates[:_SNIFFED])


def _looks_like_dicom(entry: os.DirEntry[str]) -> bool:
    from napari_flomo.volumes.dicom.files import is_dicom

    try:
        return entry.is_file() and is_dicom(Path(entry.path))
    except (OSError, FlomoError):
        return False
