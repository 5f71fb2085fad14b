"""Fill slices between labelled ones by interpolating shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.label_tools.distances import signed_distance

Labels = NDArray[np.integer]


def fill_between(
    stack: Labels,
    spacing: tuple[float, float],
    *,
    codes: Iterable[int] | None = None,
    slices: Iterable[int] | None = None,
    locked: Collection[int] = (),
) -> Labels:
    """Label slices that lie between labelled ones by shape-based interpolation.

    The signed distances of a structure in the nearest labelled slices below and above are shifted
    to a common centre and averaged by nearness (Raya and Udupa, IEEE Trans Med Imaging 9(1), 1990,
    doi 10.1109/42.52980). A pixel belongs to the structure in which it lies deepest.

    Parameters
    ----------
    stack
        Labels, ``(slices, rows, columns)``; not changed.
    spacing
        Millimetres per row and column.
    codes
        Structures to interpolate; all that occur by default.
    slices
        Slices to label anew; by default those without any of ``codes``.
    locked
        Codes that neither gain nor lose a pixel.

    Returns
    -------
    ndarray
        New labels of the same shape and type.

    Raises
    ------
    FlomoError
        If there is no slice to fill between two labelled ones.
    """
    chosen = [int(code) for code in (np.unique(stack) if codes is None else codes) if code]
    chosen = [code for code in chosen if code not in locked]
    shown = [bool(np.isin(pixels, chosen).any()) for pixels in stack]
    wanted = [n for n, full in enumerate(shown) if not full] if slices is None else list(slices)
    sources = [number for number, full in enumerate(shown) if full and number not in wanted]
    result = stack.copy()
    filled = False
    for number in wanted:
        below = max((source for source in sources if source < number), default=None)
        above = min((source for source in sources if source > number), default=None)
        if below is None or above is None:
            continue
        weight = (number - below) / (above - below)
        proposed = _between(stack[below], stack[above], weight, chosen, spacing)
        keep = np.isin(stack[number], list(locked)) | ~np.isin(stack[number], [0, *chosen])
        result[number] = np.where(keep, stack[number], proposed)
        filled = True
    if not filled:
        raise FlomoError(
            "There is no slice to fill: label a slice below and one above, and leave those between "
            "empty."
        )
    return result


def _between(
    below: Labels,
    above: Labels,
    weight: float,
    codes: Collection[int],
    spacing: tuple[float, float],
) -> Labels:
    """Return labels at ``weight`` of the way from one slice to another."""
    depth = [_interpolate(below == code, above == code, weight, spacing) for code in codes]
    deepest = np.array(list(codes))[np.argmin(depth, axis=0)]
    return np.where(np.min(depth, axis=0) <= 0, deepest, 0)


def _interpolate(
    below: NDArray[np.bool_], above: NDArray[np.bool_], weight: float, spacing: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the signed distances of a structure between two slices; infinite if it is in none."""
    if not below.any() or not above.any():
        # The structure ends halfway to the slice that does not show it.
        nearer, share = (below, weight) if below.any() else (above, 1 - weight)
        if share > 0.5 or not nearer.any():
            return np.full(below.shape, np.inf, np.float32)
        return signed_distance(nearer, spacing)
    first, second = (np.argwhere(mask).mean(axis=0) for mask in (below, above))
    centre = (1 - weight) * first + weight * second
    moved = [
        np.roll(signed_distance(mask, spacing), tuple(np.rint(centre - at).astype(int)), (0, 1))
        for mask, at in ((below, first), (above, second))
    ]
    result: NDArray[np.float32] = (1 - weight) * moved[0] + weight * moved[1]
    return result
