"""Find journals that a crash left behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.corrections import journal_files
from napari_flomo.corrections.journal import journals_folder, remove
from napari_flomo.corrections.replaying import StrokeSummary
from napari_flomo.errors import FlomoError

PROBE_SECONDS = 0.2
"""Longer than another search holds the lock of a journal, to see whether it is open."""

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
    name
        Name of the image, without patient data; empty when unknown.
    shape
        Of the labels: ``(frames?, slices, rows, columns)``.
    colours
        Colours of the labels by their codes.
    strokes
        Number of changes of voxels.
    last_change
        Seconds since 1970.
    """

    folder: Path
    image_hash: str
    model: str
    name: str
    shape: tuple[int, ...]
    colours: Mapping[int, str]
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
            journal_files.lock_journal(folder, PROBE_SECONDS).release()
        except FlomoError:
            continue
        leftover = _inspect(folder)
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


def _inspect(folder: Path) -> UnfinishedJournal | None:
    if not (folder / journal_files.ABOUT_FILE).exists():
        with suppress(FlomoError):
            remove(folder, journal_files.lock_journal(folder))  # incomplete
        return None
    try:
        about, content = journal_files.read_about(folder), journal_files.read_content(folder)
        summary = StrokeSummary.of(content.strokes)
    except (FlomoError, LookupError, TypeError, ValueError):
        return None
    if not (content.strokes or content.fault):
        with suppress(FlomoError):
            remove(folder, journal_files.lock_journal(folder))
        return None
    note, last = about.note, max(summary.last_change, about.created)
    card = note.get("card", {})
    return UnfinishedJournal(
        folder,
        about.image_hash,
        model=str(note.get("model", "")),
        name=str(note.get("image", "")),
        shape=about.shape,
        colours={one["code"]: one["colour"] for one in card.get("labels", ()) if one["code"]},
        strokes=summary.strokes,
        last_change=last,
    )


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
