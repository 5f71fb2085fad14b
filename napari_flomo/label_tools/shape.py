"""Change the shape of one structure in the slices of a stack."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.label_tools.distances import signed_distance

Labels = NDArray[np.integer]
Mask = NDArray[np.bool_]


def grow(
    stack: Labels,
    code: int,
    spacing: tuple[float, float],
    mm: float = 1.0,
    *,
    slices: Iterable[int] | None = None,
    locked: Collection[int] = (),
) -> Labels:
    """Grow a structure in every slice, or shrink it if ``mm`` is negative.

    What it gains is taken from other structures and the background; what it loses goes to the
    nearest of these. Its border to a locked structure stays.

    Parameters
    ----------
    stack
        Labels, ``(slices, rows, columns)``; not changed.
    code
        Of the structure.
    spacing
        Millimetres per row and column.
    mm
        Distance by which its border moves.
    slices
        Which slices to change; all by default.
    locked
        Codes that neither gain nor lose a pixel.

    Returns
    -------
    ndarray
        New labels of the same shape and type.

    Raises
    ------
    FlomoError
        If ``code`` is locked.
    """

    def moved(mask: Mask) -> Mask:
        result: Mask = signed_distance(mask, spacing) <= mm
        return result

    return _reshape(moved, stack, code, spacing, slices=slices, locked=locked)


def smooth(
    stack: Labels,
    code: int,
    spacing: tuple[float, float],
    mm: float = 2.0,
    *,
    slices: Iterable[int] | None = None,
    locked: Collection[int] = (),
) -> Labels:
    """Smooth the border of a structure in every slice.

    ``mm`` is the standard deviation of a Gaussian filter of the distances to the border. For the
    other parameters, the result and errors see `grow`.
    """
    from skimage.filters import gaussian

    sigma = tuple(mm / step for step in spacing)

    def smoothed(mask: Mask) -> Mask:
        rounded: Mask = gaussian(signed_distance(mask, spacing), sigma) <= 0
        return rounded

    return _reshape(smoothed, stack, code, spacing, slices=slices, locked=locked)


def remove_islands(
    stack: Labels,
    code: int,
    spacing: tuple[float, float],
    *,
    slices: Iterable[int] | None = None,
    locked: Collection[int] = (),
) -> Labels:
    """Keep the largest piece of a structure in every slice, and fill its holes.

    For the parameters, the result and errors see `grow`.
    """
    result = stack.copy()
    for number in _slices_with(stack, code, slices, locked):
        pixels = stack[number]
        piece = _largest_piece(pixels == code)
        result[number] = _put(pixels, code, piece | _empty_holes(piece, pixels), spacing, locked)
    return result


def _largest_piece(mask: Mask) -> Mask:
    from skimage.measure import label

    pieces = label(mask, connectivity=2)
    largest: Mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    return largest


def _empty_holes(piece: Mask, pixels: Labels) -> Mask:
    """Return the holes of a piece that hold no other structure, as the wall holds the cavity."""
    from skimage.measure import label
    from skimage.segmentation import clear_border

    holes = clear_border(label(~piece, connectivity=1))
    return (holes > 0) & ~np.isin(holes, holes[pixels > 0])


def _reshape(
    change: Callable[[Mask], Mask],
    stack: Labels,
    code: int,
    spacing: tuple[float, float],
    *,
    slices: Iterable[int] | None,
    locked: Collection[int],
) -> Labels:
    """Apply a change of the structure's mask to every slice that shows it."""
    result = stack.copy()
    for number in _slices_with(stack, code, slices, locked):
        result[number] = _put(stack[number], code, change(stack[number] == code), spacing, locked)
    return result


def _slices_with(
    stack: Labels, code: int, slices: Iterable[int] | None, locked: Collection[int]
) -> list[int]:
    if code in locked:
        raise FlomoError("This structure is locked; unlock it first.")
    chosen = range(len(stack)) if slices is None else slices
    return [number for number in chosen if (stack[number] == code).any()]


def _put(
    pixels: Labels, code: int, mask: Mask, spacing: tuple[float, float], locked: Collection[int]
) -> Labels:
    """Return the labels of a slice in which a structure has a new mask."""
    result = pixels.copy()
    before = pixels == code
    result[mask & ~before & ~np.isin(pixels, list(locked))] = code
    lost = before & ~mask
    others = [int(other) for other in np.unique(pixels) if other != code]
    if lost.any() and others:
        distances = [signed_distance(pixels == other, spacing)[lost] for other in others]
        nearest = np.array(others)[np.argmin(distances, axis=0)]
        # The border to a locked structure stays, or a gap would open.
        result[lost] = np.where(np.isin(nearest, list(locked)), code, nearest)
    return result
