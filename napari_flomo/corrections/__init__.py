"""What a person corrects: a journal of strokes that survives crashes, and a store of results."""

from __future__ import annotations

from napari_flomo.corrections.identity import identity
from napari_flomo.corrections.journal import Journal, journals_folder
from napari_flomo.corrections.preview import Preview, preview
from napari_flomo.corrections.replaying import REPLAY_STEPS, Replay, replay
from napari_flomo.corrections.store import (
    Correction,
    CorrectionStore,
    Finding,
    ModelReference,
    Record,
    check_alias,
    default_store,
)
from napari_flomo.corrections.strokes import Stroke
from napari_flomo.corrections.unfinished import UnfinishedJournal, discard, unfinished

__all__ = [
    "REPLAY_STEPS",
    "Correction",
    "CorrectionStore",
    "Finding",
    "Journal",
    "ModelReference",
    "Preview",
    "Record",
    "Replay",
    "Stroke",
    "UnfinishedJournal",
    "check_alias",
    "default_store",
    "discard",
    "identity",
    "journals_folder",
    "preview",
    "replay",
    "unfinished",
]
