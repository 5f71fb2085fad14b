"""Find journals that a crash left behind."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock

from napari_flomo.corrections import layout
from napari_flomo.corrections.journal import journals_folder, remove
from napari_flomo.corrections.replaying import StrokeSummary
from napari_flomo.errors import FlomoError

HALF_MADE_SECONDS = 3600.0
"""A folder without ``journal.json`` that is younger than this may still be written."""


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
    """Return the journals that a crash left, the latest first.

    Journals that a living program has open are left out, and damaged ones of which nothing can be
    read. Those without any change are removed: they hold a copy of an image for nothing.

    Parameters
    ----------
    parent
        Where to look; `journals_folder` by default.
    """
    found = []
    for folder in _folders(parent or journals_folder()):
        try:
            lock = layout.acquire_lock(folder)
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
    """Remove a journal that nobody has open.

    Raises
    ------
    FlomoError
        If another program has it open or it cannot be removed.
    """
    layout.read_about(folder)
    remove(folder, layout.acquire_lock(folder))


def _inspect(folder: Path, lock: BaseFileLock) -> UnfinishedJournal | None:
    if not (folder / layout.ABOUT_FILE).exists():
        with suppress(FlomoError):
            remove(folder, lock)  # half made, or half removed
        return None
    try:
        about, content = layout.read_about(folder), layout.read_content(folder)
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
    """Return what may be a journal: what is complete, and what nobody works on any more."""
    old = time.time() - HALF_MADE_SECONDS
    found = []
    with suppress(OSError):
        for folder in sorted(parent.iterdir()):
            complete = (folder / layout.ABOUT_FILE).is_file()
            if complete or ((folder / layout.LOCK_FILE).is_file() and folder.stat().st_mtime < old):
                found.append(folder)
    return found
