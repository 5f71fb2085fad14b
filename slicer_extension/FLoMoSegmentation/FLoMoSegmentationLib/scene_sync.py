"""From the session into the scene and back, for one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib import maps, measures, results, versions
from FLoMoSegmentationLib.record import Record

if TYPE_CHECKING:
    from FLoMoSegmentationLib.entries import Entry
    from napari_flomo.session import Run, Session


def show(session: Session, entry: Entry, run: Run, threshold: float, editor: Any) -> None:
    """Write the results of a run into the scene; a run for uncertainty maps keeps the labels.

    Parameters
    ----------
    session, entry, run
        The session, the image of which it is, and the run.
    threshold
        Of the uncertainty when it is first shown.
    editor
        The Segment Editor widget, whose undo brings back the labels from before; None without.
    """
    image = session.image(entry.key)
    record = entry.record or Record.make(entry.source.node)
    entry.record = record
    if run.only_maps:
        maps.show(entry.source, record, image, threshold, entry.wanted)
        return
    entry.model, entry.earlier = run.model or "", None
    if record.segmentation is not None:
        versions.save_for_undo(slicer.mrmlScene, editor)
    results.show_labels(entry.source, record, image)
    maps.let_go(record)  # of the labels before
    maps.show(entry.source, record, image, threshold)
    results.keep_proposed(entry.source, record, image)
    settle(session, entry)


def settle(session: Session, entry: Entry) -> None:
    """Take the labels in the scene, which the session has just written, for known."""
    note(session, entry)
    entry.watch()
    entry.painted.clear()


def note(session: Session, entry: Entry) -> None:
    """Keep review and measures of an image in the scene, once it has results there."""
    image, record = session.image(entry.key), entry.record
    if record is None or image.segmentation is None or image.review is None or entry.restoring:
        return
    results.keep_note(record, image)
    rows = measures.rows_of(image, session.measures(entry.key), entry.source.frame)
    measures.write_table(record, f"{image.name} measures", rows)


def bring_back(session: Session, entry: Entry) -> None:
    """Restore what a loaded scene knows of an image; a record that is of no use is removed."""
    if entry.record is None:
        return
    entry.restoring = True
    try:
        if not results.restore(session, entry.key, entry.source, entry.record):
            entry.record.forget()
            entry.record = None
    finally:
        entry.restoring = False
