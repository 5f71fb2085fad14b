"""Merge the result of a run with what was there before, within the scope of the run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.session.scope import Scope


def merge(
    existing: NDArray[np.integer] | None,
    proposed: NDArray[np.integer],
    scope: Scope,
    locked: Collection[int] = (),
) -> NDArray[np.integer]:
    """Return the labels after a run: the proposal within the scope, what was there elsewhere.

    A locked label is finished: it neither loses nor gains a voxel.

    Parameters
    ----------
    existing
        Labels ``([frames,] slices, rows, columns)``; None where there are none yet, which is all
        background. Not changed.
    proposed
        Labels of the network, the same shape.
    scope
        What was asked for.
    locked
        Codes that the user called finished.

    Returns
    -------
    ndarray
        A new array with the element type of ``existing``, or else of ``proposed``.

    Raises
    ------
    FlomoError
        If the shapes differ.
    """
    if existing is None:
        existing = np.zeros_like(proposed)
    _check_shapes(existing, proposed)
    result = existing.copy()
    for place in _places(scope, existing.shape):
        before, after = existing[place], proposed[place]
        finished = np.zeros(before.shape, bool)
        for code in locked:  # few; several times quicker than numpy.isin
            finished |= (before == code) | (after == code)
        result[place] = np.where(finished, before, after) if locked else after
    return result


def merge_maps(
    existing: NDArray[np.floating] | None, proposed: NDArray[np.floating], scope: Scope
) -> NDArray[np.floating]:
    """Like `merge`, for uncertainty maps ``([frames,] slices, rows, columns)``; 0 where none is."""
    if existing is None:
        existing = np.zeros_like(proposed)
    _check_shapes(existing, proposed)
    result = existing.copy()
    for place in _places(scope, existing.shape):
        result[place] = proposed[place]
    return result


def merge_scores(
    existing: NDArray[np.floating] | None, proposed: NDArray[np.floating], scope: Scope
) -> NDArray[np.floating]:
    """As `merge` for slice scores, ``(frames, slices)``; NaN where nothing was segmented."""
    if existing is None:
        existing = np.full_like(proposed, np.nan)
    _check_shapes(existing, proposed)
    inside = scope.mask(*proposed.shape)
    result: NDArray[np.floating] = np.where(inside, proposed, existing)
    return result


def _places(scope: Scope, shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the index of every slice of the scope; a stack without frames has one index."""
    moving = len(shape) == 4
    mask = scope.mask(shape[0] if moving else 1, shape[-3])
    for frame, number in np.argwhere(mask).tolist():
        yield (frame, number) if moving else (number,)


def _check_shapes(existing: NDArray[Any], proposed: NDArray[Any]) -> None:
    if existing.shape != proposed.shape:
        raise FlomoError(
            f"Labels of shape {proposed.shape} cannot be merged into labels of shape "
            f"{existing.shape}; they belong to different images."
        )
