"""Messages about work lists and labels that were saved earlier, in both viewers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.session.messages import count_text
from napari_flomo.volumes import stem_of

if TYPE_CHECKING:
    from napari_flomo.session.worklist.worklist import ListedStudy, WorkList

COLUMNS = (
    ("Study", "Path below the folder; a double click opens it"),
    ("State", "New, segmented, in review or accepted, and what happened to its files"),
    ("Slices", "Accepted slices, of those that were segmented"),
)
"""Title and tooltip of the columns of the list, see `row`."""

CHOOSE = ("Folder…", "Choose a folder of studies: image files and DICOM folders, at any depth")
"""Title and tooltip of the button, as those of the next ones."""
REFRESH = ("Refresh", "Look for new, changed and removed files")
NEXT = ("Next study", "Save this study and open the next (Page Down)")
PREVIOUS = ("Previous study", "Save this study and open the one before (Page Up)")
ONLY_OPEN = ("Hide accepted", "Show and open only studies that are not accepted yet")
BY_FOLDER = (
    "Names by folder",
    "Name DICOM images, and the files suggested for them, after their folder. Otherwise the name "
    "is made of modality, series number and sequence, and holds no patient data",
)
CONTINUE = (
    "Continue from labels…",
    "Review labels that were saved earlier, in any format that can be read",
)

LABELS = "Labels"
SERIES_TITLE = "Several DICOM series"
SERIES_QUESTION = "Open which series?"
NO_IMAGE = "There is no image to continue on; open it, or choose it in the list."
NO_FOLDER = "Choose a folder of studies."
READING = "Looking for studies…"
OPENING = "Opening {}…"
BUSY = "A study is being opened or saved; wait a moment."
RUNNING = "This study is being segmented; wait until it is done, or cancel it first."
LAST = "There are no more studies in the list."
FIRST = "There are no earlier studies in the list."
GONE_STUDY = "The files of this study were removed; refresh the list."
UNREADABLE = "{} cannot be opened: {}"
SAVING = "Saving the labels…"
SAVE = (
    "Save and go on",
    "Save these labels, and those of other studies of this list when you leave them",
)
NO_SAVE = (
    "Go on without saving",
    "Close the study; strokes that are not saved are restored when you open it again",
)
SAVED = "The labels are saved to {}."
RESUMED = "The labels are as you left them."
RESTORED = "Your last strokes were not saved and are restored."


def row(one: ListedStudy) -> tuple[str, str, str]:
    """Return the texts of a study for `COLUMNS`."""
    state = str(one.state)
    extras = [
        text
        for text, holds in (
            ("removed", one.missing),
            ("files changed", one.changed and not one.missing),
            ("unsaved strokes", one.unsaved),
        )
        if holds
    ]
    slices = f"{one.accepted} of {one.slices}" if one.slices else ""
    return _name(one.study.id), ", ".join((state, *extras)), slices


def _name(id: str) -> str:
    """Return the path of a study without the suffix of a known format."""
    return id[: len(id) - len(Path(id).name)] + stem_of(id)


def progress_text(worklist: WorkList) -> str:
    """Return how far a list is: ``"7 of 20 accepted"``."""
    accepted, total = worklist.progress
    if not total:
        return "There are no studies in this folder."
    text = f"{accepted} of {total} accepted"
    if worklist.gone:
        text += f"; removed since: {worklist.gone}"
    return text


def save_text(path: str) -> str:
    """Return the question before the labels of a study are saved on leaving it."""
    return (
        f"The labels of this study are not saved. Save them to {path}? Other studies of this list "
        "will then be saved when you leave them, too."
    )


def offer_text(name: str) -> str:
    """Return the offer to continue from labels beside a study."""
    return f"There are labels of this study: {name}."


def replace_accepted_text(count: int, undo_hint: str) -> str:
    """Return the question before labels of a file replace accepted slices."""
    return (
        f"This will change {count_text(count, 'slice', 'a')} that you accepted; {undo_hint} "
        "restores the labels."
    )


def continued_text(basis: str, undo_hint: str, *, replaced: bool) -> str:
    """Return the message that labels of a file are under review; ``basis`` counts the edits."""
    undo = f" {undo_hint} restores the previous labels." if replaced else ""
    return f"The labels of the file are under review; edits are counted against {basis}.{undo}"


def unknown_codes_text(codes: list[int], model: str) -> str:
    """Return why labels of other structures cannot be continued."""
    listed = ", ".join(map(str, codes[:5]))
    return (
        f"The labels have the codes {listed}, which {model} does not know; choose the model that "
        "they were made with."
    )
