"""The steps of an image that undo and redo in a viewer reach, each with its results."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_flomo.measures import HeartPhases, Insertions, VoxelCounts
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from napari_flomo.segmentation import Segmentation

STEPS_KEPT = 5
"""A step of a large cine takes more than 100 MB, most of it the uncertainty maps."""


@dataclass(frozen=True, eq=False)
class StepResults:
    """What an image had when a step was left; the attributes are those of `OpenImage`."""

    segmentation: Segmentation | None
    labels: Volume
    review: Review | None
    counts: VoxelCounts | None
    phases: HeartPhases
    insertions: Mapping[SliceIndex, Insertions]
    confirmed: frozenset[SliceIndex]
    reopened: frozenset[SliceIndex]
    model: str


def _new_name() -> str:
    return uuid.uuid4().hex


@dataclass(eq=False)
class Steps:
    """The steps of an image: a run, a restore and labels of an earlier day begin one each.

    Attributes
    ----------
    current
        Name of the step that is shown; names are unique, also among programs.
    """

    current: str = field(default_factory=_new_name)
    _order: list[str] = field(default_factory=list)
    _left: dict[str, StepResults] = field(default_factory=dict)

    def begin(self, last: StepResults) -> None:
        """Begin a step; ``last`` is what the image had before it."""
        order = self._order or [self.current]
        order = order[: order.index(self.current) + 1]  # what was undone cannot be redone now
        self._left[self.current] = last
        self.current = _new_name()
        self._order = [*order, self.current][-STEPS_KEPT - 1 :]
        self._left = {name: self._left[name] for name in self._order if name in self._left}

    def left(self, step: str) -> StepResults | None:
        """Return what the image had when a step was left; None if it is shown or unknown."""
        return None if step == self.current else self._left.get(step)

    def go_to(self, step: str, last: StepResults) -> StepResults:
        """Move to a known step and return its results; ``last`` is what the image had before."""
        self._left[self.current] = last
        self.current = step
        return self._left[step]
