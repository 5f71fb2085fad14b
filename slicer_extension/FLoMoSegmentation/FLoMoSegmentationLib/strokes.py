"""Pass what is painted in the Segment Editor to the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from FLoMoSegmentationLib import results, segment_nodes
from FLoMoSegmentationLib.frames import stored, with_frames

if TYPE_CHECKING:
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.session import Session, SliceIndex


def take(
    session: Session,
    entry: SceneImage,
    *,
    everywhere: bool = True,
) -> list[SliceIndex]:
    """Report what was painted since the last call to the session; return the changed slices.

    Parameters
    ----------
    session, entry
        The session, and the image.
    everywhere
        Whether all frames of a cine are read, and not only those that were on the screen meanwhile,
        where the Segment Editor paints. Takes some 10 ms for each.
    """
    image = session.image(entry.key)
    node = None if entry.record is None else entry.record.segmentation
    if not entry.painted or node is None or image.labels is None or image.segmentation is None:
        return []
    take_locks(session, entry)
    frames = range(entry.source.n_frames) if everywhere else sorted(entry.painted)
    entry.painted.clear()
    labels = with_frames(image.labels.data)
    slices: list[SliceIndex] = []
    for frame in frames:
        painted = results.read_labels(entry.source, node, image.segmentation.card, frame)
        if painted.shape != labels[frame].shape:
            return []  # the image was changed; it is opened again for the next run
        differing = painted != labels[frame]
        if differing.any():
            indices = np.flatnonzero(differing) + frame * differing.size
            old, new = labels[frame][differing], painted[differing]
            slices += session.edit(entry.key, indices, old, new)
    return slices


def take_locks(session: Session, entry: SceneImage) -> None:
    """Lock the labels whose segments have the status Completed."""
    image = session.image(entry.key)
    node = None if entry.record is None else entry.record.segmentation
    if node is None or image.segmentation is None:
        return
    locked = segment_nodes.completed(node, image.segmentation.card)
    for code in locked ^ image.locked:
        session.lock(entry.key, code, code in locked)


def unknown_segments(session: Session, entry: SceneImage) -> list[str]:
    """Return the names of segments that are none of the model's structures."""
    image = session.image(entry.key)
    node = None if entry.record is None else entry.record.segmentation
    if node is None or image.segmentation is None:
        return []
    return segment_nodes.unknown_segments(node, image.segmentation.card)


def report_saved(session: Session, entry: SceneImage) -> None:
    """Report labels that were saved with the scene or by themselves to the session."""
    node = None if entry.record is None else entry.record.segmentation
    if entry.painted or node is None:
        return
    if not stored(entry.source, node).GetModifiedSinceRead():
        session.labels_saved(entry.key)
