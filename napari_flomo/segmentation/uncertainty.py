"""How much the network doubts: per pixel and per slice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

PLAUSIBLE = 0.05
"""A pixel with less probability of any structure than this is surely background: far from the
heart, thousands of pixels with a breath of entropy each would drown the doubt at its border."""

SHORTEST_BOUNDARY_MM = 30.0
"""Girth of a structure of 10 mm, the smallest worth a look. A slice where nothing was found has no
boundary, and is measured against this one."""


def predictive_entropy(probabilities: Tensor, activation: Literal["softmax", "sigmoid"]) -> Tensor:
    """Return the entropy of each pixel's prediction, 0 (certain) to 1 (no idea).

    Parameters
    ----------
    probabilities
        ``(slices, classes, rows, columns)``.
    activation
        With softmax: the entropy over the classes divided by its maximum, the logarithm of their
        number. With sigmoid: the mean over the classes of each one's yes-or-no entropy in bits.

    Returns
    -------
    Tensor
        ``(slices, rows, columns)``.
    """
    total = _terms(probabilities).sum(1)
    if activation == "softmax":
        total /= math.log(probabilities.shape[1])
    else:
        total += _terms(1 - probabilities).sum(1)
        total /= probabilities.shape[1] * math.log(2)
    return total.clamp_(0, 1)


def slice_doubt(
    labels: NDArray[np.uint8],
    entropy: NDArray[np.float32],
    plausible: NDArray[np.bool_],
    in_plane_spacing: tuple[float, float],
) -> NDArray[np.float32]:
    """Score slices by how wide the band of doubt around their contours is.

    Entropy summed over the pixels where a structure is plausible, as an area, divided by the length
    of the boundaries between labels: the mean width, in mm, of a band of full doubt along them.
    Dividing by the length keeps a large ventricle from looking more doubtful than a small one.
    A sharp contour scores about a pixel's width, a blob that was nearly called a structure scores
    by its area over 30 mm.

    Parameters
    ----------
    labels
        ``(slices, rows, columns)``.
    entropy
        From `predictive_entropy`, the same shape.
    plausible
        Where the probability of any structure reaches `PLAUSIBLE`, the same shape.
    in_plane_spacing
        Step between rows and step between columns, in mm.

    Returns
    -------
    ndarray
        One score per slice, 0 or more; large is doubtful.
    """
    row_step, column_step = in_plane_spacing
    area = (entropy * plausible).sum((1, 2), dtype=np.float64) * row_step * column_step
    between_rows = (labels[:, 1:] != labels[:, :-1]).sum((1, 2)) * column_step
    between_columns = (labels[:, :, 1:] != labels[:, :, :-1]).sum((1, 2)) * row_step
    # Along pixel edges a smooth contour is 4 / pi times too long.
    length = (between_rows + between_columns) * (math.pi / 4)
    score: NDArray[np.float32] = (area / np.maximum(length, SHORTEST_BOUNDARY_MM)).astype(
        np.float32
    )
    return score


def _terms(probabilities: Tensor) -> Tensor:
    """Return -p log p, 0 for p = 0; several times faster than ``torch.special.entr``."""
    return probabilities.clamp_min(1e-30).log_().mul_(probabilities).neg_()
