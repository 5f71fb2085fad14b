"""Accept and reopen slices of an image, and record that in its journal."""

from __future__ import annotations

from collections.abc import Iterable

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages
from napari_flomo.session.earlier_labels import EarlierLabels
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import Place, Review, SliceState


def review_of(image: OpenImage) -> Review:
    """Return the review of an image; raises `FlomoError` if it was not segmented."""
    if image.review is None:
        raise FlomoError(messages.NOTHING_TO_REVIEW)
    return image.review


def accept(image: OpenImage) -> Place | None:
    """Accept the current slice with its labels as they are; return the next, None if finished.

    Raises
    ------
    FlomoError
        If no slice is current.
    """
    review = review_of(image)
    place, following = review.current, review.accept()
    assert place is not None
    image.confirmed.add(place)
    image.reopened.discard(place)
    image.activity.tick()
    _record(image, place, accepted=True)
    return following


def reopen(image: OpenImage, place: Place) -> bool:
    """Take back that a slice was accepted; return True if it was."""
    review, place = review_of(image), Place(*place)
    if place not in review.order or review.state(place) is not SliceState.ACCEPTED:
        return False
    review.reopen(place)
    image.confirmed.discard(place)
    image.reopened.add(place)
    _record(image, place, accepted=False)
    return True


def confirm(image: OpenImage, places: Iterable[Place]) -> None:
    """Accept slices whose labels are those that were accepted on an earlier day."""
    review = review_of(image)
    for place in places:
        if place in review.order:
            review.set_state(place, accepted=True)
            image.confirmed.add(place)
            _record(image, place, accepted=True)


def confirm_unchanged(image: OpenImage, earlier: EarlierLabels) -> EarlierLabels | None:
    """Accept the slices whose labels are those of an earlier day; return the others, if any."""
    if image.labels is None or image.review is None:
        return None
    differing = earlier.differing(image.labels)
    confirm(image, earlier.places - differing)
    return EarlierLabels(differing, earlier.labels) if differing else None


def _record(image: OpenImage, place: Place, *, accepted: bool) -> None:
    if image.autosave is not None:  # what was only looked at leaves no journal
        image.autosave.record_accepted(place, accepted)
