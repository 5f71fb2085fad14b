"""Shape of the parts of the heart in a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.measures.heart_codes import HeartCodes

SMALL_PIECE = 0.02
"""A second piece of a structure is flagged from this fraction of its area in the slice."""

SMALL_PIECE_PIXELS = 5

PARTS = {
    "left_ventricle": "left ventricle",
    "right_ventricle": "right ventricle",
    "myocardium": "myocardium",
}
"""Names of the fields of `HeartCodes`."""


@dataclass(frozen=True)
class SliceShape:
    """What the rules need to know about the labels of a slice.

    Attributes
    ----------
    pixels
        Area of each part of the heart, by field of `HeartCodes`.
    pieces
        Parts that have a second piece of some size.
    open_border
        Fraction of the border of the left ventricular cavity without wall.
    """

    pixels: Mapping[str, int]
    pieces: tuple[str, ...] = ()
    open_border: float = 0.0


def slice_shape(pixels: NDArray[np.integer], codes: HeartCodes) -> SliceShape:
    """Measure the labels of a slice, ``(rows, columns)``."""
    masks = part_masks(pixels, codes)
    return SliceShape(
        {part: int(np.count_nonzero(mask)) for part, mask in masks.items()},
        tuple(part for part, mask in masks.items() if _has_second_piece(mask)),
        open_border(masks["left_ventricle"], masks["myocardium"])
        if {"left_ventricle", "myocardium"} <= masks.keys()
        else 0.0,
    )


def part_masks(pixels: NDArray[np.integer], codes: HeartCodes) -> dict[str, NDArray[np.bool_]]:
    """Return the mask of each part that is labelled, by field of `HeartCodes`."""
    return {part: pixels == code for part in PARTS if (code := getattr(codes, part)) is not None}


def _has_second_piece(mask: NDArray[np.bool_]) -> bool:
    from skimage.measure import label

    sizes = np.sort(np.bincount(label(mask, connectivity=2).ravel())[1:])
    return len(sizes) > 1 and sizes[-2] >= max(SMALL_PIECE_PIXELS, SMALL_PIECE * mask.sum())


def open_border(cavity: NDArray[np.bool_], wall: NDArray[np.bool_]) -> float:
    """Return the fraction of the pixels around a cavity that are not wall."""
    from skimage.morphology import dilation

    ring = dilation(cavity) & ~cavity
    total = np.count_nonzero(ring)
    return np.count_nonzero(ring & ~wall) / total if total else 0.0


def base_first(stack: Sequence[Mapping[str, int]]) -> bool:
    """Return True if the first of the slices with a left ventricle lies at the base.

    Both ventricles together are larger at the base; without labels of the right one, the cavity
    of the left. ``stack`` has the areas of each slice by field of `HeartCodes`, in order.
    """
    whole = any(areas.get("right_ventricle") for areas in stack)
    sizes = [sum(areas.values()) if whole else areas.get("left_ventricle", 0) for areas in stack]
    totals = np.array(sizes, float)
    before, after = np.triu_indices(len(totals), 1)
    if not len(before):
        return True
    # The median of all slopes (Theil-Sen), so that a slice with wrong labels does not count.
    return bool(np.median((totals[after] - totals[before]) / (after - before)) <= 0)
