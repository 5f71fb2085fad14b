"""The slices of an image in the order of uncertainty, and the progress of their review."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError


class SliceIndex(NamedTuple):
    """One slice of one frame, counted from 0."""

    frame: int
    slice: int


class SliceState(StrEnum):
    """State of a slice in the review."""

    OPEN = "open"
    SEEN = "seen"
    ACCEPTED = "accepted"


class Review:
    """The segmented slices in order of uncertainty, the most uncertain first.

    The order does not change during the review; slices that were not segmented are not part of
    it. Equal scores keep the order of the image.

    Parameters
    ----------
    scores
        `Segmentation.slice_scores`: ``(frames, slices)``, large is uncertain, NaN not segmented.
    """

    def __init__(self, scores: NDArray[np.floating]) -> None:
        self._scores = np.array(scores, dtype=np.float64)
        if self._scores.ndim != 2:
            raise FlomoError("The scores of a review must be frames x slices; segment again.")
        self._states: dict[SliceIndex, SliceState] = {}
        self._edits = np.zeros(self._scores.shape, np.int64)
        self._current: SliceIndex | None = None
        self._order = self._sorted()

    @property
    def order(self) -> tuple[SliceIndex, ...]:
        """All slices of the review, the most uncertain first."""
        return self._order

    @property
    def current(self) -> SliceIndex | None:
        """The current slice; None before the first step."""
        return self._current

    @property
    def accepted(self) -> int:
        """How many slices are accepted."""
        return sum(state is SliceState.ACCEPTED for state in self._states.values())

    @property
    def finished(self) -> bool:
        """Whether every slice is accepted."""
        return self.accepted == len(self._order)

    def score(self, index: SliceIndex) -> float:
        """Return the uncertainty of a slice in cm² (in pixels where the spacing is unknown)."""
        return float(self._scores[self._known(index)])

    def state(self, index: SliceIndex) -> SliceState:
        """Return the state of a slice."""
        return self._states.get(self._known(index), SliceState.OPEN)

    def is_accepted(self, index: SliceIndex | None) -> bool:
        """Return True if a slice is part of the review and accepted."""
        return index is not None and self._states.get(index) is SliceState.ACCEPTED

    def edits(self, index: SliceIndex) -> int:
        """Return how many pixels of a slice differ from what the network proposed."""
        return int(self._edits[self._known(index)])

    def progress(self, slices: Iterable[SliceIndex]) -> list[tuple[SliceState, int]]:
        """Return state and `edits` of slices."""
        return [
            (self._states.get(index, SliceState.OPEN), int(self._edits[index])) for index in slices
        ]

    def go_to(self, index: SliceIndex) -> SliceIndex:
        """Move to a slice; an open one is seen now.

        Raises
        ------
        FlomoError
            If it is not part of the review.
        """
        index = self._known(index)
        self._current = index
        if self.state(index) is SliceState.OPEN:
            self._states[index] = SliceState.SEEN
        return index

    def next(self, queue: Sequence[SliceIndex] | None = None) -> SliceIndex | None:
        """Move to the next slice that is not accepted, around the end; None if all are.

        ``queue`` are the slices to visit in order, by default all of them.
        """
        slices = tuple(self._order if queue is None else queue)
        start = slices.index(self._current) if self._current in slices else -1
        around = (*slices[start + 1 :], *slices[: start + 1])
        for index in around:
            if self.state(index) is not SliceState.ACCEPTED:
                return self.go_to(index)
        return None

    def previous(self, queue: Sequence[SliceIndex] | None = None) -> SliceIndex | None:
        """Move one slice back, whatever its state; None at the first; see `next`."""
        slices = tuple(self._order if queue is None else queue)
        if self._current not in slices or self._current == slices[0]:
            return None
        return self.go_to(slices[slices.index(self._current) - 1])

    def accept(self, queue: Sequence[SliceIndex] | None = None) -> SliceIndex | None:
        """Accept the current slice and move to the next, see there; None if finished.

        Raises
        ------
        FlomoError
            If no slice is current.
        """
        if self._current is None:
            raise FlomoError("No slice is under review; choose one in the list first.")
        self._states[self._current] = SliceState.ACCEPTED
        return self.next(queue)

    def set_state(self, index: SliceIndex, *, accepted: bool) -> None:
        """Accept a slice, or mark it as seen, without going there."""
        state = SliceState.ACCEPTED if accepted else SliceState.SEEN
        self._states[self._known(index)] = state

    def reopen(self, index: SliceIndex) -> None:
        """Mark a slice as seen and no longer accepted."""
        self.set_state(index, accepted=False)

    def set_edits(self, changed: NDArray[np.integer], index: SliceIndex | None = None) -> None:
        """Set the result of `count_changes`, of all slices or of one."""
        self._edits[... if index is None else index] = changed

    def rescored(self, scores: NDArray[np.floating], scope: NDArray[np.bool_]) -> Review:
        """Return the review after a new run; only slices outside its scope keep their state.

        The caller sets the edits.

        ``scores`` are the merged ones of the whole image, ``scope`` is that of `Scope.mask`; both
        are ``(frames, slices)``.
        """
        review = Review(scores)
        for index, state in self._states.items():
            if review._is_part(index) and not scope[index]:
                review._states[index] = state
        if self._current is not None and review._is_part(self._current):
            review._current = self._current
        return review

    def to_dict(self) -> dict[str, Any]:
        """Return states, edits and the current slice in plain JSON types; no scores."""
        return {
            "shape": list(self._scores.shape),
            "current": None if self._current is None else list(self._current),
            "states": [[*index, state.value] for index, state in sorted(self._states.items())],
            "edits": [
                [*index, count] for index in sorted(self._order) if (count := self.edits(index))
            ],
        }

    def restore(self, remembered: Mapping[str, Any]) -> None:
        """Restore what `to_dict` returned for the same image; change nothing if it does not fit.

        Edits are not restored: they follow from the labels.

        Raises
        ------
        FlomoError
            If it is of another image or damaged.
        """
        try:
            fits = list(remembered["shape"]) == list(self._scores.shape)
            states = {_slice_index(row[:2]): SliceState(row[2]) for row in remembered["states"]}
            edits = [_slice_index(row[:2]) for row in remembered["edits"]]
            now = remembered["current"]
            current = None if now is None else _slice_index(now)
            places = [*states, *edits, *([] if current is None else [current])]
            fits = fits and all(map(self._is_on_grid, places))
        except (LookupError, TypeError, ValueError):
            fits = False
        if not fits:
            raise FlomoError("The remembered review belongs to another image; start over.")
        self._states = {index: state for index, state in states.items() if self._is_part(index)}
        self._current = current if current is not None and self._is_part(current) else None

    def _sorted(self) -> tuple[SliceIndex, ...]:
        scores = self._scores
        flat = np.argsort(-scores.ravel(), kind="stable")  # NaN comes last
        count = int(np.isfinite(scores).sum())
        frames, slices = np.unravel_index(flat[:count], scores.shape)
        return tuple(SliceIndex(int(f), int(s)) for f, s in zip(frames, slices, strict=True))

    def _is_on_grid(self, index: SliceIndex) -> bool:
        return all(
            0 <= number < length for number, length in zip(index, self._scores.shape, strict=True)
        )

    def _is_part(self, index: SliceIndex) -> bool:
        return self._is_on_grid(index) and bool(np.isfinite(self._scores[index]))

    def _known(self, index: SliceIndex) -> SliceIndex:
        index = _slice_index(index)
        if not self._is_part(index):
            raise FlomoError(
                f"Slice {index.slice + 1} of frame {index.frame + 1} was not segmented, so it is "
                "not part of the review; segment it first."
            )
        return index


def _slice_index(indices: Iterable[int]) -> SliceIndex:
    frame, number = (int(index) for index in indices)
    return SliceIndex(frame, number)
