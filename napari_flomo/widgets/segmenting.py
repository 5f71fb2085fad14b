"""What a click on Segment, or on a map of doubt, sets in motion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import Busy, Scope
from napari_flomo.widgets.computing import Computing, wants_computing
from napari_flomo.widgets.navigation import face

if TYPE_CHECKING:
    from napari_flomo.session import Problem
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.desk import Desk
    from napari_flomo.widgets.entries import Entry


def segment(
    desk: Desk, model: str, device: str, scope: str = "stack", *, mirrored: bool = False
) -> None:
    """Start to segment the current image; a lazy one is computed first, in another thread.

    Parameters
    ----------
    desk
        Of the window.
    model, device
        As everywhere.
    scope
        ``"slice"`` that is shown, ``"stack"`` (all slices of the frame that is shown), or
        ``"all"`` frames.
    mirrored
        Whether the mean over mirrored views counts.

    Raises
    ------
    FlomoError
        If there is no image, it cannot be segmented, or something is under way.
    """
    entry = desk.current
    if entry is None:
        raise FlomoError("There is no image to segment; open one, or choose it in the list.")
    check_idle(desk)
    if scope == "slice" and face(desk.viewer, entry.image, desk.order(entry)):
        raise FlomoError(
            f"The slices of {entry.image.name} were seen from the side and are shown now; go to "
            "the one you mean and click Segment again."
        )
    part = scope_of(desk, entry, scope)

    def start(volume: Volume | None = None) -> None:
        image = desk.adopt(entry, volume)
        desk.session.segment(image.key, model, device, part, mirrored=mirrored)
        desk.preferences.model = model
        desk.preferences.device = device
        desk.preferences.mirrored = mirrored

    if wants_computing(entry):
        _compute_first(desk, entry, start)
    else:
        start()


def compute_doubt(desk: Desk, name: str) -> None:
    """Start to compute a map of doubt for the current image; its labels stay as they are.

    Raises
    ------
    FlomoError
        If there are no labels yet, or something is under way.
    """
    entry = desk.current
    image = None if entry is None else desk.opened(entry)
    if entry is None or image is None:
        raise FlomoError("There is nothing to doubt yet; segment an image first.")
    check_idle(desk)
    desk.session.doubt(image.key, desk.preferences.device, [name], entry.model or None)
    entry.map = name


def check_idle(desk: Desk) -> None:
    """Raise `Busy` while a lazy image is computed, or the session does something else."""
    if desk.computing is not None:
        name = desk.computing.entry.image.name
        raise Busy(f"{name} is being computed; wait until it is done, or cancel it first.")
    desk.session.check_idle()


def scope_of(desk: Desk, entry: Entry, name: str) -> Scope:
    """Return what part of an image is meant by a choice on the panel."""
    place = desk.place(entry)
    if name == "all" or entry.image.ndim < 3:
        return Scope()
    frames = (place.frame,) if entry.image.ndim == 4 else None
    return Scope((place.slice,) if name == "slice" else None, frames)


def corrected_slices(desk: Desk, entry: Entry, scope: Scope) -> int:
    """Count the slices that a run would do anew although a person painted on them."""
    image = desk.opened(entry)
    if image is None or image.review is None:
        return 0
    mask = scope.mask(image.volume.n_frames, image.volume.n_slices)
    review = image.review
    return sum(bool(mask[place]) and review.edits(place) > 0 for place in review.order)


def _compute_first(desk: Desk, entry: Entry, start: Callable[[Volume], None]) -> None:
    def done(volume: Volume) -> None:
        desk.set_computing(None)
        try:
            start(volume)
        except FlomoError as error:
            desk.say(str(error), "warning")

    def failed(problem: Problem | None) -> None:
        desk.set_computing(None)
        if problem is None:
            desk.say("Cancelled; nothing was changed.")
        else:
            desk.say(problem.sentence, "error", problem.details)

    desk.set_computing(Computing(desk, entry, done, failed))
