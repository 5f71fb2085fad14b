"""From changes of a labels layer to strokes in a journal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Stroke
from napari_flomo.session import Place, journal_note
from napari_flomo.widgets import results
from napari_flomo.widgets.keeping import Keeper
from napari_flomo.widgets.painting import Change

if TYPE_CHECKING:
    from napari_flomo.session import OpenImage
    from napari_flomo.widgets.desk import Desk
    from napari_flomo.widgets.entries import Entry


def note_change(desk: Desk, entry: Entry, image: OpenImage, change: Change) -> None:
    """Write a change of voxels down."""
    keeper = entry.keeper
    if keeper is None:
        keeper = entry.keeper = _new_keeper(desk, image, change)
    kind: Any = change.kind
    keeper.record(
        Stroke.of(kind, indices=change.indices, old=change.old, new=change.new, time=time.time())
    )


def note_accepted(entry: Entry, place: Place, accepted: bool = True) -> None:
    """Write down that a slice is right as it is. What was only looked at leaves no journal."""
    if entry.keeper is not None:
        note = {"frame": place.frame, "slice": place.slice, "accepted": accepted}
        entry.keeper.record(Stroke("accept", time=time.time(), note=note))


def note_locked(entry: Entry, code: int, locked: bool) -> None:
    """Write down that a label is finished."""
    if entry.keeper is not None:
        note = {"code": code, "locked": locked}
        entry.keeper.record(Stroke("lock", time=time.time(), note=note))


def put_new_labels(desk: Desk, entry: Entry, wanted: NDArray[np.integer]) -> None:
    """Show the labels of another run in the layer that is there, so that Undo brings back the old.

    The layer keeps its array, and the session takes it over.
    """
    layer, watch = entry.labels, entry.watch
    assert layer is not None
    assert watch is not None
    assert entry.key is not None
    before = np.array(layer.data)
    with layer.events.paint.blocker():
        results.replace_voxels(layer, wanted)
    watch.rebase()
    image = desk.session.image(entry.key)
    assert image.labels is not None
    desk.session.set_labels(image.key, layer.data.reshape(image.labels.data.shape))
    if entry.keeper is not None:
        where = np.flatnonzero(before != layer.data)
        change = Change("stroke", where, before.ravel()[where], layer.data.ravel()[where])
        note_change(desk, entry, image, change)


def teller(desk: Desk) -> Any:
    """Return what a keeper calls, from its thread, when strokes cannot be written."""

    def tell(problem: str | None) -> None:
        if problem is None:
            desk.in_thread(lambda: desk.say("Strokes are written to the disk again."))
        else:
            text = f"Your strokes are not safe on the disk: {problem}"
            desk.in_thread(lambda: desk.say(text, "warning"))

    return tell


def _new_keeper(desk: Desk, image: OpenImage, change: Change) -> Keeper:
    """Begin a journal with the labels as they were before a change."""
    assert image.labels is not None
    before = image.labels.data.copy()
    before.ravel()[change.indices] = change.old
    labels = image.labels.with_data(before, axes=image.labels.axes)
    return Keeper.of(
        image.volume,
        labels,
        lambda: image.hash,
        journal_note(image),
        teller(desk),
        locked=image.locked,
        accepted=tuple(image.vouched),
    )
