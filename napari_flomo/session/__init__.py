"""The state behind a viewer: open images, runs, review, preferences. No window, no torch.

Texts that viewers show are in the modules that end in `messages`, and what they need to
draw uncertainty maps in `uncertainty_maps`; use them by attribute, as in ``messages.DISCLAIMER``.

Examples
--------
>>> session = Session()  # doctest: +SKIP
>>> key = session.add(read("heart.nii.gz"), "heart")  # doctest: +SKIP
>>> run = session.segment(key, "flomo-b0-acdc")  # doctest: +SKIP
>>> session.subscribe(print)  # doctest: +SKIP
"""

from __future__ import annotations

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
from napari_flomo.session import (
    cine_messages,
    measure_messages,
    messages,
    model_messages,
    report_messages,
    study_messages,
    suggestion_messages,
    uncertainty_maps,
    unsaved_messages,
    visibility_messages,
)
from napari_flomo.session.colours import STATE_COLOURS, structure_colours
from napari_flomo.session.continuing import continue_from
from napari_flomo.session.correction_writer import CorrectionWriter
from napari_flomo.session.duplicates import is_copy
from napari_flomo.session.events import (
    AutosaveChanged,
    ConventionsChanged,
    CorrectionKept,
    EarlierFound,
    Event,
    ImageAdded,
    ImageRemoved,
    ImageRenamed,
    InsertionsChanged,
    LabelsChanged,
    LocksChanged,
    PhasesChanged,
    RestoreEnded,
    RestoreProgressed,
    ReviewChanged,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunFinished,
    RunProgressed,
    RunQueued,
    RunStarted,
    UnsavedFound,
)
from napari_flomo.session.findings import counts_of, unknown_measures
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.message_board import MessageBoard
from napari_flomo.session.messages import Choice, Message, Until
from napari_flomo.session.model_choice import (
    choice_text,
    chosen_model,
    model_options,
    model_text,
    model_to_use,
    promoted_text,
)
from napari_flomo.session.naming import image_name
from napari_flomo.session.phases import has_phases, review_note, wall_insertions
from napari_flomo.session.preferences import Preferences
from napari_flomo.session.presenter import Presenter
from napari_flomo.session.queue_filter import COLUMNS, Column, QueueFilter
from napari_flomo.session.recovery import note_of
from napari_flomo.session.removed_labels import give_up, labels_at_risk
from napari_flomo.session.reporting import report_of, start_structured_report
from napari_flomo.session.review import Review, SliceIndex, SliceState
from napari_flomo.session.review_queue import listed, progress_text
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.session.segmenting import can_learn_study
from napari_flomo.session.session import Session
from napari_flomo.session.tools import IN_MILLIMETRES, TOOLS, ToolName, use_tool
from napari_flomo.session.unsaved import UnsavedWork
from napari_flomo.session.viewer import ViewerAdapter
from napari_flomo.session.visibility import (
    FOR_FRAMES,
    FOR_LABELS,
    FOR_MAP,
    FOR_REVIEW,
    NotShown,
    Reasons,
)
from napari_flomo.session.volume_chart import Mark, VolumeChart

__all__ = [
    "COLUMNS",
    "FOR_FRAMES",
    "FOR_LABELS",
    "FOR_MAP",
    "FOR_REVIEW",
    "IN_MILLIMETRES",
    "STATE_COLOURS",
    "TOOLS",
    "AutosaveChanged",
    "Busy",
    "Choice",
    "Column",
    "ConventionsChanged",
    "CorrectionKept",
    "CorrectionWriter",
    "EarlierFound",
    "Event",
    "ImageAdded",
    "ImageRemoved",
    "ImageRenamed",
    "InsertionsChanged",
    "JobFailed",
    "LabelsChanged",
    "LocksChanged",
    "Mark",
    "Message",
    "MessageBoard",
    "NotShown",
    "OpenImage",
    "PhasesChanged",
    "Preferences",
    "Presenter",
    "Problem",
    "Progress",
    "QueueFilter",
    "Reasons",
    "RestoreEnded",
    "RestoreProgressed",
    "Review",
    "ReviewChanged",
    "Run",
    "RunCancelled",
    "RunEvent",
    "RunFailed",
    "RunFinished",
    "RunProgressed",
    "RunQueued",
    "RunStarted",
    "Scope",
    "Session",
    "SliceIndex",
    "SliceState",
    "Spawn",
    "State",
    "ToolName",
    "UnsavedFound",
    "UnsavedWork",
    "Until",
    "ViewerAdapter",
    "VolumeChart",
    "Worker",
    "can_learn_study",
    "choice_text",
    "chosen_model",
    "cine_messages",
    "continue_from",
    "counts_of",
    "give_up",
    "has_phases",
    "image_name",
    "is_copy",
    "labels_at_risk",
    "listed",
    "measure_messages",
    "messages",
    "model_messages",
    "model_options",
    "model_text",
    "model_to_use",
    "note_of",
    "progress_text",
    "promoted_text",
    "python_spawner",
    "report_messages",
    "report_of",
    "review_note",
    "start_structured_report",
    "structure_colours",
    "study_messages",
    "suggestion_messages",
    "uncertainty_maps",
    "unknown_measures",
    "unsaved_messages",
    "use_tool",
    "visibility_messages",
    "wall_insertions",
]
