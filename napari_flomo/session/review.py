"""The slices of an image in the order of uncertainty, and how far a person has come with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError


class Place(NamedTuple):
    """One slice of one frame, counted from 0."""

    frame: int
    slice: int


class SliceState(StrEnum):
    """How far a person is with a slice."""

    OPEN = "open"
    SEEN = "seen"
    ACCEPTED = "accepted"


class Review:
    """A walk through the segmented slices, the most uncertain first.

    The order is that of the scores and does not change while a person walks; slices that were not
    segmented are not part of it. Equal scores keep the order of the image.

    Parameters
    ----------
    scores
        `Segmentation.slice_scores`: ``(frames, slices)``, large is uncertain, NaN not segmented.
    """

    def __init__(self, scores: NDArray[np.floating]) -> None:
        self._scores = np.array(scores, dtype=np.float64)
        if self._scores.ndim != 2:
            raise FlomoError("The scores of a review must be frames x slices; segment again.")
        self._states: dict[Place, SliceState] = {}
        self._edits: dict[Place, int] = {}
        self._current: Place | None = None
        self._order = self._sorted()

    @property
    def order(self) -> tuple[Place, ...]:
        """All slices of the review, the most uncertain first."""
        return self._order

    @property
    def current(self) -> Place | None:
        """Where the person is; None before the first step."""
        return self._current

    @property
    def accepted(self) -> int:
        """How many slices are accepted."""
        return sum(state is SliceState.ACCEPTED for state in self._states.values())

    @property
    def finished(self) -> bool:
        """Whether every slice is accepted."""
        return self.accepted == len(self._order)

    def score(self, place: Place) -> float:
        """Return the uncertainty of a slice in cm² (in pixels where the spacing is unknown)."""
        return float(self._scores[self._known(place)])

    def state(self, place: Place) -> SliceState:
        """Return how far the person is with a slice."""
        return self._states.get(self._known(place), SliceState.OPEN)

    def edits(self, place: Place) -> int:
        """Return how many strokes a slice has got."""
        return self._edits.get(self._known(place), 0)

    def go_to(self, place: Place) -> Place:
        """Move to a slice; an open one is seen now.

        Raises
        ------
        FlomoError
            If it is not part of the review.
        """
        place = self._known(place)
        self._current = place
        if self.state(place) is SliceState.OPEN:
            self._states[place] = SliceState.SEEN
        return place

    def next(self) -> Place | None:
        """Move to the next slice that is not accepted, around the end; None if all are."""
        start = -1 if self._current is None else self._order.index(self._current)
        around = (*self._order[start + 1 :], *self._order[: start + 1])
        for place in around:
            if self.state(place) is not SliceState.ACCEPTED:
                return self.go_to(place)
        return None

    def previous(self) -> Place | None:
        """Move one slice back in the order, whatever its state; None at the first."""
        if self._current is None or self._current == self._order[0]:
            return None
        return self.go_to(self._order[self._order.index(self._current) - 1])

    def accept(self) -> Place | None:
        """Accept the current slice and move to the next; returns where to go, None if finished.

        Raises
        ------
        FlomoError
            If no slice is current.
        """
        if self._current is None:
            raise FlomoError("No slice is under review; choose one in the list first.")
        self._states[self._current] = SliceState.ACCEPTED
        return self.next()

    def set_state(self, place: Place, *, accepted: bool) -> None:
        """Accept a slice, or take that back (it is seen then), without going there."""
        state = SliceState.ACCEPTED if accepted else SliceState.SEEN
        self._states[self._known(place)] = state

    def reopen(self, place: Place) -> None:
        """Take an acceptance back; the slice is seen."""
        self.set_state(place, accepted=False)

    def count_edit(self, place: Place, by: int = 1) -> None:
        """Count a stroke on a slice (``by=-1``: one undone); outside the review it is ignored."""
        place = Place(*place)
        if self._is_part(place):
            self._edits[place] = max(self.edits(place) + by, 0)

    def rescored(self, scores: NDArray[np.floating], scope: NDArray[np.bool_]) -> Review:
        """Return the review after a new run.

        Slices of the scope begin anew; all others keep their state and their edits.

        Parameters
        ----------
        scores
            Merged scores of the whole image, ``(frames, slices)``.
        scope
            Where the run went, `Scope.mask`.
        """
        review = Review(scores)
        for mine, other in ((self._states, review._states), (self._edits, review._edits)):
            for place, value in mine.items():
                if review._is_part(place) and not scope[place]:
                    other[place] = value  # type: ignore[assignment]
        if self._current is not None and review._is_part(self._current):
            review._current = self._current
        return review

    def to_dict(self) -> dict[str, Any]:
        """Return states, edits and the current slice in plain JSON types; no scores."""
        return {
            "shape": list(self._scores.shape),
            "current": None if self._current is None else list(self._current),
            "states": [[*place, state.value] for place, state in sorted(self._states.items())],
            "edits": [[*place, count] for place, count in sorted(self._edits.items()) if count],
        }

    def restore(self, remembered: Mapping[str, Any]) -> None:
        """Take over what `to_dict` gave for the same image; nothing is changed if it does not fit.

        Raises
        ------
        FlomoError
            If it is of another image or damaged.
        """
        try:
            fits = list(remembered["shape"]) == list(self._scores.shape)
            states = {_place(row[:2]): SliceState(row[2]) for row in remembered["states"]}
            edits = {_place(row[:2]): int(row[2]) for row in remembered["edits"]}
            now = remembered["current"]
            current = None if now is None else _place(now)
            places = [*states, *edits, *([] if current is None else [current])]
            fits = fits and all(map(self._is_on_grid, places))
        except (LookupError, TypeError, ValueError):
            fits = False
        if not fits:
            raise FlomoError("What was remembered of the review is of another image; start anew.")
        self._states = {place: state for place, state in states.items() if self._is_part(place)}
        self._edits = {place: count for place, count in edits.items() if self._is_part(place)}
        self._current = current if current is not None and self._is_part(current) else None

    def _sorted(self) -> tuple[Place, ...]:
        scores = self._scores
        flat = np.argsort(-scores.ravel(), kind="stable")  # NaN comes last
        count = int(np.isfinite(scores).sum())
        frames, slices = np.unravel_index(flat[:count], scores.shape)
        return tuple(Place(int(f), int(s)) for f, s in zip(frames, slices, strict=True))

    def _is_on_grid(self, place: Place) -> bool:
        return all(
            0 <= index < length for index, length in zip(place, self._scores.shape, strict=True)
        )

    def _is_part(self, place: Place) -> bool:
        return self._is_on_grid(place) and bool(np.isfinite(self._scores[place]))

    def _known(self, place: Place) -> Place:
        place = _place(place)
        if not self._is_part(place):
            raise FlomoError(
                f"Slice {place.slice} of frame {place.frame} was not segmented, so it is not part "
                "of the review; segment it first."
            )
        return place


def _place(indices: Iterable[int]) -> Place:
    frame, number = (int(index) for index in indices)
    return Place(frame, number)
