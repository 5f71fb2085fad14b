"""What a user wants to review of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Frames = Literal["phases", "all"]
States = Literal["all", "open"]
Column = Literal["slice", "uncertainty", "state", "edits"]
"""Column of the review table that it is sorted by."""

COLUMNS: tuple[Column, ...] = ("slice", "uncertainty", "state", "edits")
"""Columns of the review table, in the order of `messages.REVIEW_COLUMNS`."""

_LARGEST_FIRST = ("uncertainty", "edits")


@dataclass(frozen=True)
class QueueFilter:
    """What a user wants to review.

    Attributes
    ----------
    frames
        ``"phases"``: end diastole and end systole, slice by slice; all frames of an image without
        them. ``"all"``: the most uncertain slice first.
    states
        ``"open"``: only slices that are not accepted are listed.
    structure
        Only slices with voxels of this label; None for all.
    sort
        Column that the slices are sorted by; None for the order of ``frames``.
    reverse
        Whether that column is sorted the other way round than `sorted_by` does at first.
    """

    frames: Frames = "phases"
    states: States = "all"
    structure: int | None = None
    sort: Column | None = None
    reverse: bool = False

    @property
    def descending(self) -> bool:
        """Whether the largest value of the sorted column comes first."""
        return (self.sort in _LARGEST_FIRST) != self.reverse

    def sorted_by(self, column: Column) -> QueueFilter:
        """Return the filter after a click on a column: sorted, reversed, and in order again."""
        if self.sort != column:
            return replace(self, sort=column, reverse=False)
        if not self.reverse:
            return replace(self, reverse=True)
        return replace(self, sort=None, reverse=False)
