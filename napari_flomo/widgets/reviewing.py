"""The walk through the doubtful slices of the current image, for panels, menus and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import Place
from napari_flomo.widgets import journalling, navigation

if TYPE_CHECKING:
    from napari_flomo.session import OpenImage
    from napari_flomo.widgets.desk import Desk
    from napari_flomo.widgets.entries import Entry


def next_doubtful(desk: Desk) -> None:
    """Go on to the next slice that is not accepted."""
    _walk(desk, desk.session.review_next, "Every slice is accepted.")


def previous_doubtful(desk: Desk) -> None:
    """Go back to the slice before."""
    _walk(desk, desk.session.review_previous, "This is the most doubtful slice.")


def go_to(desk: Desk, entry: Entry, place: Place) -> None:
    """Show a slice of an image, and note it in the review where it is part of that."""
    navigation.go_to(desk.viewer, entry.image, place, desk.order(entry))
    image = desk.opened(entry)
    if image is not None and image.review is not None and place in image.review.order:
        desk.session.review_go_to(image.key, place)


def accept(desk: Desk) -> None:
    """Accept the slice on the screen and go on to the next doubtful one.

    Raises
    ------
    FlomoError
        If there is no review, or the slice was not segmented.
    """
    entry, image = _under_review(desk)
    if entry.watch is not None:
        entry.watch.settle()  # an undo or redo just before belongs to what is accepted
    place = desk.place(entry)
    desk.session.review_go_to(image.key, place)
    following = desk.session.review_accept(image.key)
    journalling.note_accepted(entry, place)
    if following is None:
        desk.say("Every slice is accepted; save the labels to keep them.")
    else:
        navigation.go_to(desk.viewer, entry.image, following, desk.order(entry))


def lock(desk: Desk, code: int, locked: bool) -> None:
    """Call a label of the current image finished, or not finished any more."""
    entry, image = _under_review(desk)
    desk.session.lock(image.key, code, locked)
    journalling.note_locked(entry, code, locked)


def _under_review(desk: Desk) -> tuple[Entry, OpenImage]:
    entry = desk.current
    image = None if entry is None else desk.opened(entry)
    if entry is None or image is None or image.review is None:
        raise FlomoError("There is nothing to review yet; segment an image first.")
    return entry, image


def _walk(desk: Desk, step: Callable[[str], Place | None], at_the_end: str) -> None:
    entry, image = _under_review(desk)
    place = step(image.key)
    if place is None:
        desk.say(at_the_end)
    else:
        navigation.go_to(desk.viewer, entry.image, place, desk.order(entry))
