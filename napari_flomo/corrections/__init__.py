"""What a person corrects: a journal of every stroke that survives crashes."""

from __future__ import annotations

from napari_flomo.corrections.identity import identity
from napari_flomo.corrections.journal import Journal, journals_folder
from napari_flomo.corrections.replaying import Replay, replay
from napari_flomo.corrections.strokes import Stroke
from napari_flomo.corrections.unfinished import Leftover, discard, unfinished

__all__ = [
    "Journal",
    "Leftover",
    "Replay",
    "Stroke",
    "discard",
    "identity",
    "journals_folder",
    "replay",
    "unfinished",
]
