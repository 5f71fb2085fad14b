"""Find journals that a crash left behind."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.corrections import journal_files
from napari_flomo.corrections.journal import journals_folder, remove
from napari_flomo.corrections.replaying import StrokeSummary
from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from filelock import BaseFileLock

HALF_MADE_SECONDS = 3600.0
"""A younger folder without ``journal.json`` may still be written."""


@dataclass(frozen=True)
class UnfinishedJournal:
    """A journal that is not open in any program.

    Attributes
    ----------
    folder
        For `replay`, `Journal.open` and `discard`.
    image_hash
        `identity` of its image.
    model
        Name of the model whose labels were corrected; empty when unknown.
    strokes
        Number of changes of voxels.
    last_change
        Seconds since 1970.
    """

    folder: Path
    image_hash: str
    model: str
    strokes: int
    last_change: float


def unfinished(parent: Path | None = None) -> list[UnfinishedJournal]:
    """Return the journals that a crash left behind, the latest first.

    Journals that a program has open and unreadable ones are left out. Those without changes are
    removed.

    Parameters
    ----------
    parent
        Parent folder; by default `journals_folder`.
    """
    found = []
    for folder in _folders(parent or journals_folder()):
        try:
            lock = journal_files.lock_journal(folder)
        except FlomoError:
            continue
        try:
            leftover = _inspect(folder, lock)
        finally:
            lock.release()
        if leftover is not None:
            found.append(leftover)
    return sorted(found, key=lambda leftover: -leftover.last_change)


def discard(folder: Path) -> None:
    """Remove a journal that is not open.

    Raises
    ------
    FlomoError
        If another program has it open or it cannot be removed.
    """
    journal_files.read_about(folder)
    remove(folder, journal_files.lock_journal(folder))


def _inspect(folder: Path, lock: BaseFileLock) -> UnfinishedJournal | None:
    if not (folder / journal_files.ABOUT_FILE).exists():
        with suppress(FlomoError):
            remove(folder, lock)  # incomplete
        return None
    try:
        about, content = journal_files.read_about(folder), journal_files.read_content(folder)
        summary = StrokeSummary.of(content.strokes)
    except (FlomoError, LookupError, TypeError, ValueError):
        return None
    if not (content.strokes or content.fault):
        with suppress(FlomoError):
            remove(folder, lock)
        return None
    model = str(about.note.get("model", ""))
    last = max(summary.last_change, about.created)
    return UnfinishedJournal(folder, about.image_hash, model, summary.strokes, last)


def _folders(parent: Path) -> list[Path]:
    """Return complete journals and abandoned incomplete ones."""
    old = time.time() - HALF_MADE_SECONDS
    found = []
    with suppress(OSError):
        for folder in sorted(parent.iterdir()):
            complete = (folder / journal_files.ABOUT_FILE).is_file()
            if complete or (
                (folder / journal_files.LOCK_FILE).is_file() and folder.stat().st_mtime < old
            ):
                found.append(folder)
    return found
