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
from napari_flomo.jobs import (
    Busy,
    JobFailed,
    Problem,
    Progress,
    Spawn,
    State,
    Worker,
    python_spawner,
)
from napari_flomo.session import messages, uncertainty_maps
from napari_flomo.session.autosave import Autosave
from napari_flomo.session.correction_writer import CorrectionWriter
from napari_flomo.session.earlier_labels import EarlierLabels
from napari_flomo.session.events import (
    AutosaveChanged,
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
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.merging import merge, merge_maps
from napari_flomo.session.messages import (
    DEVICES,
    DISCLAIMER,
    MIRRORED_TIP,
    MIRRORED_TITLE,
    PARTIAL_MEASURES,
    REVIEW_COLUMNS,
    SCOPES,
    Choice,
    Message,
    card_text,
    layout_text,
    model_title,
    progress_text,
    proposed_name,
    review_row,
    slice_axis_choices,
)
from napari_flomo.session.preferences import Preferences
from napari_flomo.session.presenter import Presenter
from napari_flomo.session.recovery import note_of
from napari_flomo.session.review import Review, SliceIndex, SliceState
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.session.session import Session
from napari_flomo.session.uncertainty_maps import THRESHOLD
from napari_flomo.session.viewer import ViewerAdapter

__all__ = [
    "DEVICES",
    "DISCLAIMER",
    "MIRRORED_TIP",
    "MIRRORED_TITLE",
    "PARTIAL_MEASURES",
    "REVIEW_COLUMNS",
    "SCOPES",
    "THRESHOLD",
    "Autosave",
    "AutosaveChanged",
    "Busy",
    "Choice",
    "CorrectionKept",
    "CorrectionWriter",
    "EarlierFound",
    "EarlierLabels",
    "Event",
    "ImageAdded",
    "ImageRemoved",
    "ImageRenamed",
    "JobFailed",
    "LabelsChanged",
    "LocksChanged",
    "Message",
    "OpenImage",
    "Preferences",
    "Presenter",
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
    "SliceIndex",
    "SliceState",
    "Spawn",
    "State",
    "ViewerAdapter",
    "Worker",
    "card_text",
    "identity",
    "layout_text",
    "merge",
    "merge_maps",
    "messages",
    "model_title",
    "note_of",
    "progress_text",
    "proposed_name",
    "python_spawner",
    "review_row",
    "slice_axis_choices",
    "uncertainty_maps",
]
