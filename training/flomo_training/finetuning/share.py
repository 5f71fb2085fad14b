"""How far to go from the parent's weights to the trained ones, decided on held-out patients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

NOTHING = "There is nothing to learn here that holds for another patient."
"""Said when no share of the way improves the held-out patients."""

Point = tuple[int, float]
"""A training step and a share of the way from the parent (0) to the trained weights (1)."""

PatientDice = Mapping[str, float]
"""Mean Dice of each held-out patient."""


@dataclass(frozen=True)
class Way:
    """The step and share whose weights are used; share 0 is the parent.

    ``before`` and ``after`` are mean Dice of the held-out patients, of the parent and at this
    point; None if nobody could be held out.
    """

    step: int
    share: float
    before: float | None = None
    after: float | None = None


def choose_way(parent: PatientDice, tuned: Mapping[Point, PatientDice], unchecked: float) -> Way:
    """Return the point with the largest mean gain among those where the gain is clear.

    A gain is clear if it is larger than its standard error over patients. Of equal points the one
    nearest to the parent is used. One patient has no standard error: any gain counts, but the share
    is at most ``unchecked``.

    Parameters
    ----------
    parent
        Of the parent.
    tuned
        Of the tuned weights at each point, for the same patients.
    unchecked
        See `Settings.unchecked_share`.

    Returns
    -------
    Way
        With share 0 if the gain is nowhere clear.
    """
    before = fmean(parent.values())
    best = Way(0, 0.0, before, before)
    for (step, share), dice in sorted(tuned.items(), key=lambda item: item[0][::-1]):
        gains = [dice[patient] - parent[patient] for patient in parent]
        gain, error = fmean(gains), 0.0
        if len(gains) > 1:
            error = stdev(gains) / math.sqrt(len(gains))
        elif share > unchecked:
            continue
        assert best.after is not None
        if gain > error and before + gain > best.after:
            best = Way(step, share, before, before + gain)
    return best
