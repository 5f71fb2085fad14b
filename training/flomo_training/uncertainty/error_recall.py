"""Recall of errors when only a fraction of the slices is reviewed: quality of a review order.

The slices are reviewed in a given order, and the errors in reviewed slices count as found. Recall
is interpolated linearly between whole slices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flomo_training.bootstrap import divide

SHARES = (0.1, 0.2, 0.3)
"""Fractions of reviewed slices."""

Floats = NDArray[np.float64]


def anatomical_score(index: int, slices: int) -> float:
    """Return a score that puts the ends of the stack, base and apex, first."""
    return 1.0 - min(index, slices - 1 - index) / max(slices, 1)


def recall_in_queue(
    scores: Floats, wrong: Floats, weights: Floats, shares: Sequence[float] = SHARES
) -> Floats:
    """Return the recall of errors in the first slices of one queue of all volumes.

    Parameters
    ----------
    scores
        ``(slices,)`` of all volumes; high scores come first.
    wrong
        ``(slices,)``: wrong voxels, or 1 for a bad slice.
    weights
        ``(resamples, slices)``: bootstrap weight of each slice.
    shares
        Fractions of reviewed slices.

    Returns
    -------
    ndarray
        ``(resamples, shares)``; NaN if there are no errors.
    """
    order = np.argsort(-scores, kind="stable")
    there = weights[:, order]
    reviewed, found = np.cumsum(there, 1), np.cumsum(there * wrong[order], 1)
    result = np.full((len(weights), len(shares)), np.nan)
    for draw in range(len(weights)):
        if found[draw, -1] > 0:
            curve = np.concatenate([[0], found[draw]]) / found[draw, -1]
            reach = np.concatenate([[0], reviewed[draw]]) / reviewed[draw, -1]
            result[draw] = np.interp(shares, reach, curve)
    return result


def recall_in_volumes(
    scores: Floats,
    wrong: Floats,
    volume: NDArray[np.integer],
    weights: Floats,
    shares: Sequence[float] = SHARES,
) -> Floats:
    """Return the recall of errors if the first slices of every volume are reviewed, as in a viewer.

    As `recall_in_queue`, with the index of the ``volume`` of each slice; the weights of a volume's
    slices are equal.
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
    return divide(
        times @ found, np.broadcast_to((times @ total)[:, None], (len(times), len(shares)))
    )
