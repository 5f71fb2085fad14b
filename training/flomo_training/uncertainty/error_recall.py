"""What a reviewer finds who looks at some of the slices: the measure of an order of review.

A share of the slices is looked at in an order, and what is wrong in them counts as found. Between
whole slices the share found grows evenly, so that no figure hangs on rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHARES = (0.1, 0.2, 0.3)
"""Of the slices that are looked at."""

Floats = NDArray[np.float64]


def anatomical_score(index: int, slices: int) -> float:
    """Return how early a slice comes when the ends of the stack, base and apex, come first."""
    return 1.0 - min(index, slices - 1 - index) / max(slices, 1)


def recall_in_queue(
    scores: Floats, wrong: Floats, weights: Floats, shares: Sequence[float] = SHARES
) -> Floats:
    """Return the share of what is wrong that the first slices of one long queue hold.

    Parameters
    ----------
    scores
        ``(slices,)`` of all volumes; high ones come first.
    wrong
        ``(slices,)``: wrong voxels, or 1 for a bad slice.
    weights
        ``(draws, slices)``: how often each slice is there, as a bootstrap draws its patient.
    shares
        Of the slices looked at.

    Returns
    -------
    ndarray
        ``(draws, shares)``; NaN where nothing is wrong.
    """
    order = np.argsort(-scores, kind="stable")
    there = weights[:, order]
    looked, found = np.cumsum(there, 1), np.cumsum(there * wrong[order], 1)
    result = np.full((len(weights), len(shares)), np.nan)
    for draw in range(len(weights)):
        if found[draw, -1] > 0:
            curve = np.concatenate([[0], found[draw]]) / found[draw, -1]
            reach = np.concatenate([[0], looked[draw]]) / looked[draw, -1]
            result[draw] = np.interp(shares, reach, curve)
    return result


def recall_in_volumes(
    scores: Floats,
    wrong: Floats,
    volume: NDArray[np.integer],
    weights: Floats,
    shares: Sequence[float] = SHARES,
) -> Floats:
    """Return the same where the first slices of every volume are looked at, as a viewer does.

    Parameters
    ----------
    scores, wrong, weights, shares
        As of `recall_in_queue`; the weights of a volume's slices are equal.
    volume
        ``(slices,)``: which volume each belongs to.
    """
    numbers, first = np.unique(volume, return_index=True)
    found = np.zeros((len(numbers), len(shares)))
    total = np.zeros(len(numbers))
    one = np.ones((1, len(scores)))
    for row, number in enumerate(numbers):
        mine = volume == number
        total[row] = wrong[mine].sum()
        if total[row] > 0:
            share = recall_in_queue(scores[mine], wrong[mine], one[:, mine], shares)[0]
            found[row] = share * total[row]
    times = weights[:, first]
    whole = times @ total
    nothing = np.full((len(weights), len(shares)), np.nan)
    return np.divide(times @ found, whole[:, None], out=nothing, where=whole[:, None] > 0)
