"""How well two masks agree: overlap, and distance between their surfaces.

The figures are MONAI's; what is decided here is the rule for empty masks, the spacing and how much
of the image is looked at. One rule for all of them: a structure that neither mask holds is no
evidence (NaN, left out of every mean); one that only one mask holds is as wrong as can be.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import (
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from numpy.typing import NDArray
from torch import Tensor

NSD_TOLERANCE_MM = 2.0
"""Largest distance at which two surfaces count as the same: about one and a half pixels of a
cardiac image, what two readers differ by."""

PERCENTILE = 95.0
"""Of the surface distances: the Hausdorff distance without the few worst voxels."""

NAN = float("nan")


@dataclass(frozen=True)
class MaskMetrics:
    """Agreement of two masks; all NaN when both are empty.

    Attributes
    ----------
    dice, iou
        Of all voxels together, 0 to 1; 0 when one mask is empty.
    hd95_mm
        The larger of the two directed 95th percentiles of the distances between the surfaces, in
        mm; the diagonal of the image when one mask is empty, NaN when the spacing is unknown.
    nsd
        Normalised surface Dice: share of the surface area of both that lies within
        `NSD_TOLERANCE_MM` of the other; 0 when one mask is empty, NaN when the spacing is unknown.
    slice_dice
        Mean of the two-dimensional Dice of the slices that hold the structure in either mask.
    slices
        Number of those slices.
    """

    dice: float = NAN
    iou: float = NAN
    hd95_mm: float = NAN
    nsd: float = NAN
    slice_dice: float = NAN
    slices: int = 0


def compare(
    reference: NDArray[np.bool_],
    result: NDArray[np.bool_],
    spacing: tuple[float, float, float] | None,
) -> MaskMetrics:
    """Compare a mask with its reference.

    Parameters
    ----------
    reference, result
        ``(slices, rows, columns)``.
    spacing
        Between slices, rows and columns in mm, or None where it is unknown. The distances of an
        image of one slice are those in its plane.

    Raises
    ------
    ValueError
        If the shapes differ or are not three-dimensional.
    """
    if reference.shape != result.shape or reference.ndim != 3:
        raise ValueError(f"masks of shape {reference.shape} and {result.shape} cannot be compared")
    either = reference | result
    if not either.any():
        return MaskMetrics()
    box = bounding_box(either)
    # MONAI wants (batch, channel, ...); outside the box both masks are empty.
    expected, found = (
        torch.from_numpy(np.ascontiguousarray(mask[box]))[None, None]
        for mask in (reference, result)
    )
    by_slice = compute_dice(_as_batch(found), _as_batch(expected), ignore_empty=False).numpy()
    held = either[box].any((1, 2))
    hd95, nsd = NAN, NAN
    if spacing is not None:
        hd95, nsd = _surface_figures(expected, found, spacing, reference.shape)
    return MaskMetrics(
        dice=float(compute_dice(found, expected, ignore_empty=False)),
        iou=float(compute_iou(found, expected, ignore_empty=False)),
        hd95_mm=hd95,
        nsd=nsd,
        slice_dice=float(by_slice[held].mean()),
        slices=int(held.sum()),
    )


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box that holds everything in a mask that is not empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        indices = np.flatnonzero(mask.any(others))
        box.append(slice(int(indices[0]), int(indices[-1]) + 1))
    return tuple(box)


def _as_batch(mask: Tensor) -> Tensor:
    """Turn ``(1, 1, slices, rows, columns)`` into one image for each slice."""
    return mask[0, 0][:, None]


def _surface_figures(
    expected: Tensor, found: Tensor, spacing: tuple[float, float, float], shape: tuple[int, ...]
) -> tuple[float, float]:
    """Return HD95 in mm and NSD of two cropped masks, at least one of which is not empty."""
    if not (expected.any() and found.any()):
        return math.hypot(*(step * length for step, length in zip(spacing, shape, strict=True))), 0
    steps: tuple[float, ...] = spacing
    if shape[0] == 1:  # a plane has an outline, not a surface
        expected, found, steps = expected[:, :, 0], found[:, :, 0], spacing[1:]
    with warnings.catch_warnings():
        # Of an argument that MONAI passes to a function of its own.
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy.*")
        distance = compute_hausdorff_distance(
            found, expected, include_background=True, percentile=PERCENTILE, spacing=steps
        )
        nsd = compute_surface_dice(
            found,
            expected,
            [NSD_TOLERANCE_MM],
            include_background=True,
            spacing=steps,
            use_subvoxels=True,
        )
    return float(distance), float(nsd)
