"""The state behind a viewer: open images, runs, review, preferences. No window, no torch.

Examples
--------
>>> session = Session()  # doctest: +SKIP
>>> key = session.add(read("heart.nii.gz"), "heart")  # doctest: +SKIP
>>> run = session.segment(key, "flomo-b0-acdc")  # doctest: +SKIP
>>> session.subscribe(print)  # doctest: +SKIP
"""

from __future__ import annotations

from napari_flomo.corrections import identity
from napari_flomo.jobs import Busy, JobFailed, Problem, Progress, State
from napari_flomo.session.events import (
    CorrectionKept,
    EarlierFound,
    Event,
    ImageAdded,
    ImageRemoved,
    ImageRenamed,
    LabelsChanged,
    LocksChanged,
    ReviewChanged,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunProgressed,
    RunStarted,
)
from napari_flomo.session.images import OpenImage
from napari_flomo.session.journalkeeper import JournalKeeper
from napari_flomo.session.merging import Scope, merge, merge_maps
from napari_flomo.session.preferences import Preferences
from napari_flomo.session.restoring import journal_note
from napari_flomo.session.results import remarks_after, remarks_of
from napari_flomo.session.review import Place, Review, SliceState
from napari_flomo.session.runs import Run
from napari_flomo.session.session import Session
from napari_flomo.session.storekeeper import Kept, StoreKeeper
from napari_flomo.session.verdict import Earlier, find_earlier, vouch

__all__ = [
    "Busy",
    "CorrectionKept",
    "Earlier",
    "EarlierFound",
    "Event",
    "ImageAdded",
    "ImageRemoved",
    "ImageRenamed",
    "JobFailed",
    "JournalKeeper",
    "Kept",
    "LabelsChanged",
    "LocksChanged",
    "OpenImage",
    "Place",
    "Preferences",
    "Problem",
    "Progress",
    "Review",
    "ReviewChanged",
    "Run",
    "RunCancelled",
    "RunFailed",
    "RunFinished",
    "RunProgressed",
    "RunStarted",
    "Scope",
    "Session",
    "SliceState",
    "State",
    "StoreKeeper",
    "find_earlier",
    "identity",
    "journal_note",
    "merge",
    "merge_maps",
    "remarks_after",
    "remarks_of",
    "vouch",
]
