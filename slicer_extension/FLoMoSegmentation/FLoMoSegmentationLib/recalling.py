"""What was accepted of an image on an earlier day comes back, with the labels of that day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from FLoMoSegmentationLib import results, scene_sync, versions
from FLoMoSegmentationLib.frames import with_frames

if TYPE_CHECKING:
    from FLoMoSegmentationLib.entries import Entry
    from FLoMoSegmentationLib.logic import Logic


def bring_back(logic: Logic, entry: Entry) -> None:
    """Put the labels of that day into the segments; the slices are accepted.

    Undo in the Segment Editor takes them back: of a cine, those of the frame on the screen.
    """
    found, entry.earlier = entry.earlier, None
    logic.take_strokes(entry)
    image = logic.session.image(entry.key)
    record = entry.record
    if found is None or record is None or image.labels is None or image.segmentation is None:
        return
    versions.save_for_undo(slicer.mrmlScene, logic.editor())
    logic.session.set_labels(entry.key, found.over(image.labels).data)
    labels = with_frames(image.labels.data)
    results.write_labels(entry.source, record.segmentation, labels, image.segmentation.card)
    logic.session.vouch(entry.key, found.places)
    scene_sync.settle(logic.session, entry)
