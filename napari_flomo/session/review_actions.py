"""Accept and reopen slices of an image, and record that in its journal."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.session.review_queue import queue_of


def review_of(image: OpenImage) -> Review:
    """Return the review of an image; raises `FlomoError` if it was not segmented."""
    if image.review is None:
        raise FlomoError(messages.NOTHING_TO_REVIEW)
    return image.review


def accept(image: OpenImage) -> SliceIndex | None:
    """Accept the current slice with its current labels; return the next, None if finished.

    Raises `FlomoError` if no slice is current.
    """
    review = review_of(image)
    index, following = review.current, review.accept(queue_of(image))
    assert index is not None
    image.confirmed.add(index)
    image.reopened.discard(index)
    image.undoable.append(index)
    image.activity.tick()
    _record(image, index, accepted=True)
    return following


def reopen(image: OpenImage, index: SliceIndex) -> bool:
    """Mark an accepted slice as not accepted; return True if it was accepted."""
    review, index = review_of(image), SliceIndex(*index)
    if not review.is_accepted(index):
        return False
    review.reopen(index)
    image.confirmed.discard(index)
    image.reopened.add(index)
    image.undoable = [other for other in image.undoable if other != index]
    _record(image, index, accepted=False)
    return True


def confirm(image: OpenImage, slices: Iterable[SliceIndex]) -> None:
    """Accept slices whose labels are those that were accepted on an earlier day."""
    review = review_of(image)
    for index in slices:
        if index in review.order:
            review.set_state(index, accepted=True)
            image.confirmed.add(index)
            _record(image, index, accepted=True)


def record_acceptances(image: OpenImage, before: Collection[SliceIndex]) -> None:
    """Record in the journal which slices are accepted now, or no longer, compared with before."""
    for index in image.confirmed.symmetric_difference(before):
        _record(image, index, accepted=index in image.confirmed)


def _record(image: OpenImage, index: SliceIndex, *, accepted: bool) -> None:
    if image.autosave is not None:  # reviewing without edits leaves no journal
        image.autosave.record_accepted(index, accepted)
