"""The store of corrections: labels that a person checked, with all that is known about them.

Examples
--------
>>> store = CorrectionStore.open("corrections", create=True)  # doctest: +SKIP
>>> id = store.add(  # doctest: +SKIP
...     Correction(image, corrected, {1: "RV"}, proposed, seen=[(0, 3)], state="accepted")
... )
>>> store.read(id).corrected  # doctest: +SKIP
"""

from __future__ import annotations

from napari_flomo.corrections.store.correction import (
    Correction,
    FrameSlice,
    ModelReference,
    State,
    check_alias,
)
from napari_flomo.corrections.store.history import HistoryEntry
from napari_flomo.corrections.store.record import ImageEntry, Record, StoredFile
from napari_flomo.corrections.store.store import CorrectionStore, default_store
from napari_flomo.corrections.store.verification import Finding

__all__ = [
    "Correction",
    "CorrectionStore",
    "Finding",
    "FrameSlice",
    "HistoryEntry",
    "ImageEntry",
    "ModelReference",
    "Record",
    "State",
    "StoredFile",
    "check_alias",
    "default_store",
]
