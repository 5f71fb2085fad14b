"""What is painted in the Segment Editor: into the session, and stroke by stroke to the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from FLoMoSegmentationLib import results, segments
from FLoMoSegmentationLib.frames import stored, with_frames
from napari_flomo.session import Autosave, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from FLoMoSegmentationLib.entries import Entry
    from napari_flomo.session import OpenImage, Session


def take(
    session: Session,
    entry: Entry,
    tell: Callable[[str | None], None],
    *,
    everywhere: bool = True,
) -> list[Place]:
    """Take over what was painted since the last look; return the slices that changed.

    Parameters
    ----------
    session, entry
        The session, and the image.
    tell
        Told when strokes cannot be written, see `Autosave`.
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
    labels, places = with_frames(image.labels.data), []
    for frame in frames:
        painted = results.read_labels(entry.source, node, image.segmentation.card, frame)
        if painted.shape != labels[frame].shape:
            return []  # the image is another one now; it is taken anew with the next run
        differing = painted != labels[frame]
        if differing.any():
            if entry.keeper is None:
                entry.keeper = Autosave.begin(image, image.labels.data.copy(), tell)
            indices = np.flatnonzero(differing) + frame * differing.size
            old, new = labels[frame][differing], painted[differing]
            entry.keeper.note_change("stroke", indices, old, new)
            labels[frame][differing] = new
            numbers = np.flatnonzero(differing.any(axis=(1, 2)))
            places += [Place(frame, int(number)) for number in numbers]
    for place in places:
        session.edited(entry.key, place)
        if session.review_reopen(entry.key, place) and entry.keeper is not None:
            entry.keeper.note_accepted(place, False)
    return places


def take_locks(session: Session, entry: Entry) -> None:
    """Call labels finished whose segments have the status Completed."""
    image = session.image(entry.key)
    node = None if entry.record is None else entry.record.segmentation
    if node is None or image.segmentation is None:
        return
    locked = segments.finished(node, image.segmentation.card)
    for code in locked ^ image.locked:
        session.lock(entry.key, code, code in locked)
        if entry.keeper is not None:
            entry.keeper.note_locked(code, code in locked)


def strangers(session: Session, entry: Entry) -> list[str]:
    """Return the names of segments that are none of the model's structures."""
    image = session.image(entry.key)
    node = None if entry.record is None else entry.record.segmentation
    if node is None or image.segmentation is None:
        return []
    return segments.strangers(node, image.segmentation.card)


def note_run(entry: Entry, image: OpenImage) -> None:
    """Write down what a run changed, so that the strokes before and after it stay true."""
    assert image.labels is not None
    before, entry.labels = entry.labels, image.labels.data
    if entry.keeper is not None and before is not None and before is not entry.labels:
        indices = np.flatnonzero(before != entry.labels)
        old, new = before.ravel()[indices], entry.labels.ravel()[indices]
        entry.keeper.note_change("stroke", indices, old, new)


def let_go_if_saved(entry: Entry) -> None:
    """Let go of the journal of an image whose labels were saved with the scene or by themselves."""
    node = None if entry.record is None else entry.record.segmentation
    if entry.keeper is None or entry.painted or node is None:
        return
    if not stored(entry.source, node).GetModifiedSinceRead():
        entry.keeper.finish()
        entry.keeper = None


def leave(entry: Entry) -> None:
    """Part with an image; unsaved strokes stay in its journal and are offered again."""
    let_go_if_saved(entry)
    if entry.keeper is not None:
        entry.keeper.close()
        entry.keeper = None
