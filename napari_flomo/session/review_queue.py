"""The queue of a review: which slices are listed and visited, and in which order."""

from __future__ import annotations

from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.queue_filter import Column
from napari_flomo.session.review import Review, SliceIndex, SliceState

_STATES = tuple(SliceState)


def queue_of(image: OpenImage) -> tuple[SliceIndex, ...]:
    """Return the slices to visit in order, accepted ones included; empty before the first run."""
    if image.review is None:
        return ()
    slices = image.review.order
    phases = image.phases.frames if image.queue.frames == "phases" else ()
    if phases:
        frames = _in_order(image)
        slices = tuple(
            sorted(
                (index for index in slices if index.frame in phases),
                key=lambda index: (frames.index(index.frame), index.slice),
            )
        )
    code, counts = image.queue.structure, image.counts
    if code is not None and counts is not None:
        slices = tuple(index for index in slices if counts.slice_voxels(code, *index))
    if image.queue.sort is None:
        return slices
    review, column = image.review, image.queue.sort
    return tuple(
        sorted(
            slices,
            key=lambda index: _value(review, index, column),
            reverse=image.queue.descending,
        )
    )


def listed(image: OpenImage) -> tuple[SliceIndex, ...]:
    """Return the slices that the list of a review shows, see `QueueFilter.states`."""
    slices, review = queue_of(image), image.review
    if review is None or image.queue.states == "all":
        return slices
    return tuple(index for index in slices if review.state(index) is not SliceState.ACCEPTED)


def progress_of(image: OpenImage) -> tuple[int, int]:
    """Return how many slices of the queue are accepted, and how many there are."""
    slices, review = queue_of(image), image.review
    if review is None:
        return 0, 0
    return sum(review.state(index) is SliceState.ACCEPTED for index in slices), len(slices)


def progress_text(image: OpenImage) -> str:
    """Return `progress_of` in words."""
    accepted, count = progress_of(image)
    return f"{accepted} of {count} accepted"


def _value(review: Review, index: SliceIndex, column: Column) -> tuple[float, ...]:
    """Return what a slice is sorted by."""
    if column == "slice":
        return (index.slice, index.frame)
    if column == "uncertainty":
        return (review.score(index),)
    if column == "state":
        return (_STATES.index(review.state(index)),)
    return (review.edits(index),)


def _in_order(image: OpenImage) -> list[int]:
    """Return the frames of the phases: those of the left ventricle first, end diastole first."""
    known = [one for side in (image.phases.left, image.phases.right) for one in (side.ed, side.es)]
    return [frame for frame in known if frame is not None]
