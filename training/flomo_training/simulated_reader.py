"""A simulated reader for experiments with corrections.

It corrects the given slices to the reference labels, for the structures that the reference
contains, and leaves everything else as the network proposed it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_flomo.volumes import Volume


@dataclass(frozen=True)
class ScoredSlice:
    """A slice of a volume of the experiment, both counted from 0, and its uncertainty score."""

    case: int
    slice: int
    score: float


def most_uncertain(scored: Iterable[ScoredSlice], count: int) -> list[ScoredSlice]:
    """Return the most uncertain slices in descending order; ties by case and slice."""
    return sorted(
        scored,
        key=lambda scored_slice: (-scored_slice.score, scored_slice.case, scored_slice.slice),
    )[:count]


def corrected(
    proposed: Volume, reference: Volume, slices: Collection[int], structures: Collection[int]
) -> Volume:
    """Return the labels after correction by the reader.

    Parameters
    ----------
    proposed, reference
        Labels ``(slices, rows, columns)`` of the network and the reference, in the same codes.
    slices
        Slices to correct; all others stay unchanged.
    structures
        Codes that the reference labels. Other structures stay as proposed unless they are
        overwritten. A voxel that is removed from a structure gets the nearest label that is not
        corrected, so that the wall grows into a cavity that was too large.

    Raises
    ------
    ValueError
        If the grids differ.
    """
    if proposed.data.shape != reference.data.shape or proposed.data.ndim != 3:
        raise ValueError(
            f"labels of shape {proposed.data.shape} cannot be corrected by {reference.data.shape}"
        )
    result = proposed.data.copy()
    for index in sorted(slices):
        result[index] = redraw(proposed.data[index], reference.data[index], sorted(structures))
    return proposed.with_data(result)


def redraw(
    proposed: NDArray[np.integer], reference: NDArray[np.integer], structures: list[int]
) -> NDArray[np.integer]:
    """Return one slice (rows, columns) with some structures replaced by the reference."""
    drawn = np.isin(reference, structures)
    taken = np.isin(proposed, structures)
    result = proposed.copy()
    if taken.all():
        result[:] = 0
    elif taken.any():
        rows, columns = distance_transform_edt(taken, return_distances=False, return_indices=True)
        result = proposed[rows, columns]
    result[drawn] = reference[drawn].astype(result.dtype)
    return result
