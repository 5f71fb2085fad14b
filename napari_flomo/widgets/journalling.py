"""From changes of a labels layer to strokes in a journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session import Autosave, Place, messages
from napari_flomo.widgets import results
from napari_flomo.widgets.label_diff import Change
from napari_flomo.widgets.layers import KEY, Grid

if TYPE_CHECKING:
    from napari_flomo.session import OpenImage
    from napari_flomo.widgets.entries import Entry
    from napari_flomo.widgets.viewer_state import ViewerState


def note_change(viewer_state: ViewerState, entry: Entry, image: OpenImage, change: Change) -> None:
    """Write a change of voxels down; the first one begins a journal."""
    if entry.keeper is None:
        assert image.labels is not None
        before = image.labels.data.copy()
        before.ravel()[change.indices] = change.old
        entry.keeper = Autosave.begin(image, before, teller(viewer_state))
    entry.keeper.note_change(change.kind, change.indices, change.old, change.new)


def in_image(entry: Entry, change: Change) -> Change:
    """Return a change of the labels layer with indices into the labels of the image."""
    assert entry.labels is not None
    grid: Grid = entry.labels.metadata[KEY]
    indices = grid.flat_indices(change.indices)
    if indices is change.indices:
        return change
    ascending = np.argsort(indices)
    old, new = change.old[ascending], change.new[ascending]
    return replace(change, indices=indices[ascending], old=old, new=new)


def note_accepted(entry: Entry, place: Place, accepted: bool = True) -> None:
    """Write down that a slice is right as it is. What was only looked at leaves no journal."""
    if entry.keeper is not None:
        entry.keeper.note_accepted(place, accepted)


def note_locked(entry: Entry, code: int, locked: bool) -> None:
    """Write down that a label is finished."""
    if entry.keeper is not None:
        entry.keeper.note_locked(code, locked)


def put_new_labels(viewer_state: ViewerState, entry: Entry, wanted: NDArray[np.integer]) -> None:
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
    image = viewer_state.session.image(entry.key)
    viewer_state.session.set_labels(image.key, layer.metadata[KEY].array(layer.data))
    if entry.keeper is not None:
        where = np.flatnonzero(before != layer.data)
        change = Change("stroke", where, before.ravel()[where], layer.data.ravel()[where])
        note_change(viewer_state, entry, image, in_image(entry, change))


def teller(viewer_state: ViewerState) -> Any:
    """Return what a keeper calls, from its thread, when strokes cannot be written."""

    def tell(problem: str | None) -> None:
        level = "info" if problem is None else "warning"
        viewer_state.in_thread(lambda: viewer_state.say(messages.journal_text(problem), level))

    return tell
