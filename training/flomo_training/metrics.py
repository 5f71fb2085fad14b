"""Overlap and surface distance of two masks, computed with MONAI.

This module defines the handling of empty masks and of the spacing, and crops the masks to their
bounding box. If both masks are empty, all metrics are NaN and excluded from every mean; if only one
is empty, they have their worst value.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
"""Tolerance of the surface Dice: about one and a half pixels of a cardiac image, similar to the
difference between two readers."""

PERCENTILE = 95.0
"""Percentile of the surface distances for the Hausdorff distance."""

NAN = float("nan")


@dataclass(frozen=True)
class MaskMetrics:
    """Metrics of two masks; all NaN if both are empty.

    Attributes
    ----------
    dice, iou
        Of all voxels together, 0 to 1; 0 if one mask is empty.
    hd95_mm
        The larger of the two directed 95th percentiles of the distances between the surfaces, in
        mm; the diagonal of the image if one mask is empty, NaN if the spacing is unknown.
    nsd
        Normalised surface Dice: fraction of the surface area of both masks that is within
        `NSD_TOLERANCE_MM` of the other; 0 if one mask is empty, NaN if the spacing is unknown.
    slice_dice
        Mean 2-D Dice of the slices that contain the structure in either mask.
    slices
        Number of these slices.
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
        Of slices, rows and columns in mm, or None if unknown. For a single slice, distances are
        measured in its plane.

    Raises
    ------
    ValueError
        If the shapes differ or are not 3-D.
    """
    if reference.shape != result.shape or reference.ndim != 3:
        raise ValueError(f"masks of shape {reference.shape} and {result.shape} cannot be compared")
    either = reference | result
    if not either.any():
        return MaskMetrics()
    box = bounding_box(either)
    # MONAI expects (batch, channel, ...); outside the box both masks are empty.
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


def compare_slices(
    reference: NDArray[np.bool_],
    result: NDArray[np.bool_],
    slices: Sequence[int],
    spacing: tuple[float, float, float] | None,
) -> MaskMetrics:
    """Compare some slices of a mask with those of its reference.

    Overlap is that of all slices together. With gaps between them, HD95 is measured within each run
    of adjacent slices, and its mean is weighted by their slices; the surface Dice is not measured.

    Parameters
    ----------
    reference, result
        The slices alone, ``(slices, rows, columns)``.
    slices
        Their places in the image, ascending.
    spacing
        See `compare`.
    """
    breaks = [i for i in range(1, len(slices)) if slices[i] != slices[i - 1] + 1]
    runs = [slice(start, stop) for start, stop in pairwise([0, *breaks, len(slices)])]
    whole = compare(reference, result, spacing if len(runs) == 1 else None)
    if len(runs) == 1 or spacing is None:
        return whole
    distances, weights = [], []
    for run in runs:
        distance = compare(reference[run], result[run], spacing).hd95_mm
        if not math.isnan(distance):
            distances.append(distance)
            weights.append(run.stop - run.start)
    hd95 = float(np.average(distances, weights=weights)) if distances else NAN
    return replace(whole, hd95_mm=hd95)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the bounding box of a mask that is not empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        indices = np.flatnonzero(mask.any(others))
        box.append(slice(int(indices[0]), int(indices[-1]) + 1))
    return tuple(box)


def _as_batch(mask: Tensor) -> Tensor:
    """Reshape ``(1, 1, slices, rows, columns)`` to a batch of slices."""
    return mask[0, 0][:, None]


def _surface_figures(
    expected: Tensor, found: Tensor, spacing: tuple[float, float, float], shape: tuple[int, ...]
) -> tuple[float, float]:
    """Return HD95 in mm and NSD of two cropped masks, at least one of which is not empty."""
    if not (expected.any() and found.any()):
        return math.hypot(*(step * length for step, length in zip(spacing, shape, strict=True))), 0
    steps: tuple[float, ...] = spacing
    if shape[0] == 1:  # distances between contours in the plane
        expected, found, steps = expected[:, :, 0], found[:, :, 0], spacing[1:]
    with warnings.catch_warnings():
        # Deprecation of an argument inside MONAI.
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
