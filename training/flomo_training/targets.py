"""What a pixel's label says about its crop_around: how deep inside a structure, how near its edge.

Computed from the augmented labels of each slice, for losses that teach a network more than classes.
Source: the first author's public M3FPolypSegNet (ICIP 2023), whose targets MADGNet's loss takes up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from flomo_training.recipe import LossWeights
from napari_flomo.models.card import ModelCard

EDGE = 0.5
"""Least magnitude of the Sobel gradient of a mask of zeros and ones that makes an edge."""

TargetMaker = Callable[[NDArray[np.integer]], dict[str, Tensor]]


def boundary_map(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return where the edge of a structure runs: one pixel wide on either side of it.

    Parameters
    ----------
    mask
        ``(rows, columns)``.

    Returns
    -------
    ndarray
        Zeros and ones of the same shape. The frame of the image is no edge.
    """
    values = mask.astype(np.float32)
    down, right = (ndimage.sobel(values, axis=axis, mode="mirror") for axis in (0, 1))
    edge: NDArray[np.float32] = (np.hypot(down, right) >= EDGE).astype(np.float32)
    return edge


def distance_map(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how deep inside a structure each pixel lies, 0 outside to 1 at the deepest.

    Parameters
    ----------
    mask
        ``(rows, columns)``.

    Returns
    -------
    ndarray
        Euclidean distance to the nearest pixel outside, over its maximum in this image. All 1 for a
        mask without an outside.
    """
    if mask.all():
        return np.ones(mask.shape, np.float32)
    depth = ndimage.distance_transform_edt(mask)
    scaled: NDArray[np.float32] = (depth / max(depth.max(), 1.0)).astype(np.float32)
    return scaled


MAPS = {"distance": distance_map, "boundary": boundary_map}
"""Targets by name."""


def make_targets(
    classes: NDArray[np.integer], names: Sequence[str], channels: Sequence[int]
) -> dict[str, Tensor]:
    """Return targets of one slice.

    Parameters
    ----------
    classes
        ``(rows, columns)`` indices of classes.
    names
        Of `MAPS`.
    channels
        The class of each channel of the network.

    Returns
    -------
    dict
        ``(len(channels), rows, columns)`` float32 by name.
    """
    return {
        name: torch.from_numpy(np.stack([MAPS[name](classes == c) for c in channels]))
        for name in names
    }


def target_maker(weights: LossWeights, card: ModelCard) -> TargetMaker | None:
    """Return what makes the targets that the loss of a recipe asks for, or None if it asks none."""
    if weights.kind != "multi_task":
        return None
    first = 0 if card.activation == "softmax" else 1
    channels = tuple(range(first, first + card.num_classes))
    return partial(make_targets, names=tuple(MAPS), channels=channels)
