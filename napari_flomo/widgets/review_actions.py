"""The walk through the uncertain slices of the current image, for panels, menus and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import Place
from napari_flomo.widgets import navigation

if TYPE_CHECKING:
    from napari_flomo.session import OpenImage
    from napari_flomo.widgets.entries import Entry
    from napari_flomo.widgets.viewer_state import ViewerState


def next_uncertain(viewer_state: ViewerState) -> None:
    """Go on to the next slice that is not accepted."""
    _walk(viewer_state, viewer_state.session.review_next, "Every slice is accepted.")


def previous_uncertain(viewer_state: ViewerState) -> None:
    """Go back to the slice before."""
    _walk(viewer_state, viewer_state.session.review_previous, "This is the most uncertain slice.")


def go_to(viewer_state: ViewerState, entry: Entry, place: Place) -> None:
    """Show a slice of an image, and note it in the review where it is part of that."""
    navigation.go_to(viewer_state.viewer, entry.image, place, viewer_state.order(entry))
    image = viewer_state.opened(entry)
    if image is not None and image.review is not None and place in image.review.order:
        viewer_state.session.review_go_to(image.key, place)


def accept(viewer_state: ViewerState) -> None:
    """Accept the slice on the screen and go on to the next uncertain one.

    Raises
    ------
    FlomoError
        If there is no review, or the slice was not segmented.
    """
    entry, image = _under_review(viewer_state)
    if entry.watch is not None:
        entry.watch.settle()  # an undo or redo just before belongs to what is accepted
    place = viewer_state.place(entry)
    viewer_state.session.review_go_to(image.key, place)
    following = viewer_state.session.review_accept(image.key)
    if following is None:
        viewer_state.say("Every slice is accepted; save the labels to keep them.")
    else:
        navigation.go_to(viewer_state.viewer, entry.image, following, viewer_state.order(entry))


def lock(viewer_state: ViewerState, code: int, locked: bool) -> None:
    """Call a label of the current image finished, or not finished any more."""
    _entry, image = _under_review(viewer_state)
    viewer_state.session.lock(image.key, code, locked)


def _under_review(viewer_state: ViewerState) -> tuple[Entry, OpenImage]:
    entry = viewer_state.current
    image = None if entry is None else viewer_state.opened(entry)
    if entry is None or image is None or image.review is None:
        raise FlomoError("There is nothing to review yet; segment an image first.")
    return entry, image


def _walk(viewer_state: ViewerState, step: Callable[[str], Place | None], at_the_end: str) -> None:
    entry, image = _under_review(viewer_state)
    place = step(image.key)
    if place is None:
        viewer_state.say(at_the_end)
    else:
        navigation.go_to(viewer_state.viewer, entry.image, place, viewer_state.order(entry))
