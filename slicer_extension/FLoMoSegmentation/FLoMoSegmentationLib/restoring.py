"""Strokes that were not saved when the program ended come back into the scene."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib import maps, results, scene_sync, segments, versions
from FLoMoSegmentationLib.record import Record
from FLoMoSegmentationLib.scene_io import add_image, remove_image
from napari_flomo.corrections import Leftover, Replay, replay
from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from FLoMoSegmentationLib.entries import Entry
    from FLoMoSegmentationLib.logic import Logic


def bring_back(logic: Logic, left: Leftover, chosen: Any = None) -> tuple[Entry, Replay]:
    """Show labels as they were after the last stroke.

    They are shown on the chosen image if they belong to it, else on a copy that was kept.

    Parameters
    ----------
    logic
        The logic.
    left
        What a crash left, of Slicer or of napari.
    chosen
        The image that is chosen in the module; None without.

    Returns
    -------
    Entry
        The image.
    Replay
        What was restored.

    Raises
    ------
    FlomoError
        If the edits cannot be read, or its model is not on this computer.
    """
    found = replay(left.folder)
    entry = _if_same(logic, found, chosen)
    if entry is not None:
        _restore(logic, entry, found, left)
    else:
        entry = logic.open(add_image(found.image, "restored image"))
        try:
            _restore(logic, entry, found, left)
        except FlomoError:
            remove_image(entry.source)
            raise
    return entry, found


def _if_same(logic: Logic, found: Replay, chosen: Any) -> Entry | None:
    """Return the chosen image if the edits are of it and it has no unsaved ones itself."""
    if chosen is None:
        return None
    with suppress(FlomoError):
        entry = logic.open(chosen)
        logic.take_strokes(entry)
        image = logic.session.image(entry.key)
        if image.autosave is None and image.hash == found.image_hash:
            return entry
    return None


def _restore(logic: Logic, entry: Entry, found: Replay, left: Leftover) -> None:
    """Put labels, locks and review into session and scene; Undo brings back labels before them."""
    image = logic.session.image(entry.key)
    before = image.segmentation
    logic.session.restore(entry.key, found, left.folder)
    assert image.segmentation is not None
    card = image.segmentation.card
    record = entry.record = entry.record or Record.make(entry.source.node)
    if before is not None and before.card.card_hash == card.card_hash:
        image.segmentation = replace(image.segmentation, uncertainty=before.uncertainty)
    elif record.uncertainty is not None:  # of another model
        maps.let_go(record)
        slicer.mrmlScene.RemoveNode(record.uncertainty)
    if record.segmentation is not None:
        versions.save_for_undo(slicer.mrmlScene, logic.editor())
    results.show_labels(entry.source, record, image)
    segments.set_finished(record.segmentation, card, image.locked)
    results.keep_proposed(entry.source, record, image)
    scene_sync.settle(logic.session, entry)
