"""A reader made of reference labels, for experiments on what corrections teach.

People are slow and differ; an experiment on learning from corrections needs a reader who is always
there. This one redraws the structures that the reference holds on the slices it is shown, and
leaves everything else as the network proposed it.
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
    """A slice that could be corrected, and how uncertain the network was of it.

    Attributes
    ----------
    case
        Index of the volume in the list of the experiment.
    slice
        Counted from 0.
    score
        Slice score of the segmentation; larger is more uncertain.
    """

    case: int
    slice: int
    score: float


def most_uncertain(scored: Iterable[ScoredSlice], count: int) -> list[ScoredSlice]:
    """Return the most uncertain slices, the worst first; ties in order of case and slice."""
    return sorted(
        scored,
        key=lambda scored_slice: (-scored_slice.score, scored_slice.case, scored_slice.slice),
    )[:count]


def corrected(
    proposed: Volume, reference: Volume, slices: Collection[int], structures: Collection[int]
) -> Volume:
    """Return the labels as the reader leaves them.

    Parameters
    ----------
    proposed
        Labels of the network, (slices, rows, columns).
    reference
        On the same grid, in the same codes.
    slices
        The ones that the reader sees; all others stay as they are.
    structures
        Codes that the reference labels. What it does not label stays as proposed where there is
        room. A voxel that is taken from a structure goes to the nearest label that the reader does
        not redraw: a cavity that was drawn too large gives way to the wall around it.

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
    """Return one slice (rows, columns) with some structures as the reference has them."""
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
