"""Texts about unsaved work that both viewers show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from napari_flomo.corrections import Replay, UnfinishedJournal
from napari_flomo.session.messages import count_text

UNSAVED_TITLE = "Unsaved changes"
UNSAVED_TIP = "Corrections that were not saved when napari or Slicer closed"
RESTORED_IMAGE = "restored image"
RESTORE_CANCELLED = "Cancelled; the changes are still listed."
RESTORE_BUSY = "Other changes are being restored; wait until that is done, or cancel it first."
RESTORE = ("Restore", "Show the labels after the last stroke, on their image if that is chosen")
DISCARD = ("Discard…", "Delete these changes permanently; asks first")
DISCARD_ANSWER = ("Discard", "Delete these changes permanently")
STOP_RESTORING = ("Cancel", "Stop; the changes stay in this list")
SHOW_ALL = "Show all {}"
SHOW_ALL_TIP = "Show the unsaved changes of all images"
PICTURE_TIP = "The middle one of the changed slices, with the contours of your labels"
READING = "Reading unsaved changes"
NO_MAPS_HINT = "Uncertainty maps were not saved: Compute under Review computes them again."
CLOSING_TITLE = "Labels that are not saved"
CLOSING_HINT = "They come from the network; to get them back, segment again."
CLOSING_SAVE = ("Save…", "Choose a file for the labels of each image, then close")
CLOSING_DISCARD = ("Close without saving", "The labels are lost")
CLOSING_STAY = ("Cancel", "Keep the window open")
BRING_BACK = ("Bring back", "Open the image again, with its labels and its review")


def closing_text(names: Sequence[str]) -> str:
    """Return the question before a window closes with labels of images that are not saved."""
    return f"The labels of {_listed(names)} are not saved."


def removed_text(names: Sequence[str]) -> str:
    """Return the message that images were removed with labels that are not saved."""
    were = "was" if len(names) == 1 else "were"
    return f"{_listed(names)} {were} removed with labels that are not saved."


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = count_text(len(names) - most, "other image") if len(names) > most else ""
    shown = [*names[:most], *([more] if more else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def autosave_text(problem: str | None) -> str:
    """Return the message of `AutosaveChanged`."""
    if problem is None:
        return "Strokes are being saved to disk again."
    return f"Your strokes could not be saved to disk: {problem}"


def unsaved_lines(left: UnfinishedJournal) -> tuple[str, str, str]:
    """Return the image, the time and the number of strokes of unsaved changes."""
    when = f"{datetime.fromtimestamp(left.last_change):%d %b %Y, %H:%M}"
    lengths = left.shape[:-2]
    size = ", ".join(map(count_text, lengths, ("frame", "slice")[-len(lengths) :]))
    return left.name or f"Image of {size}", when, count_text(left.strokes, "stroke")


def discard_text(left: UnfinishedJournal) -> str:
    """Return the question before unsaved changes are deleted."""
    name, when, strokes = unsaved_lines(left)
    return f"Discard {strokes} on {name} of {when}? This cannot be undone."


def restored_text(found: Replay) -> str:
    """Return the message that unsaved changes were restored."""
    lost = f" {found.lost}" if found.lost else ""
    return f"Restored {count_text(found.strokes, 'change')}.{lost}"
