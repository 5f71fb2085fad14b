"""Edits that crashes left unsaved."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from napari_flomo.corrections import UnfinishedJournal, discard, preview, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.session.thumbnail import thumbnail


@dataclass(frozen=True)
class UnsavedWork:
    """Edits of an image that were not saved when a program ended.

    Attributes
    ----------
    journal
        Where they are.
    picture
        A small PNG of the middle changed slice with the contours of its labels; empty if it cannot
        be drawn.
    """

    journal: UnfinishedJournal
    picture: bytes = field(default=b"", repr=False)

    @property
    def folder(self) -> Path:
        """Folder of the journal."""
        return self.journal.folder

    def discard(self) -> None:
        """Remove them for good; raises `FlomoError` if they cannot be removed."""
        discard(self.folder)


def unsaved_work() -> tuple[UnsavedWork, ...]:
    """Return the edits that crashes of any viewer left unsaved, the latest first.

    Those that another window has open are left out. Takes a moment for a large image; call it in
    another thread. Raises `FlomoError` if the journals cannot be listed.
    """
    return tuple(UnsavedWork(left, _picture(left)) for left in unfinished())


def _picture(left: UnfinishedJournal) -> bytes:
    with suppress(FlomoError, OSError, ValueError):  # restored or damaged meanwhile
        return thumbnail(preview(left.folder), left.colours)
    return b""
