"""Distance and boundary maps as auxiliary training targets.

They are computed from the augmented labels of each slice. Source: the first author's public
M3FPolypSegNet (ICIP 2023), whose targets the loss of MADGNet uses.
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
from napari_flomo.models import ModelCard

EDGE = 0.5
"""Smallest magnitude of the Sobel gradient of a binary mask at an edge."""

TargetMaker = Callable[[NDArray[np.integer]], dict[str, Tensor]]


def boundary_map(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the binary edge of a mask ``(rows, columns)``, one pixel wide on either side.

    The border of the image is not an edge.
    """
    values = mask.astype(np.float32)
    down, right = (ndimage.sobel(values, axis=axis, mode="mirror") for axis in (0, 1))
    edge: NDArray[np.float32] = (np.hypot(down, right) >= EDGE).astype(np.float32)
    return edge


def distance_map(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance to the nearest outside pixel of a mask, divided by its maximum.

    1 everywhere if there is no outside.
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
    """Return targets of `MAPS` for one slice of class indices ``(rows, columns)``.

    ``channels`` has the class of each channel of the network; each target is float32
    ``(channels, rows, columns)``.
    """
    return {
        name: torch.from_numpy(np.stack([MAPS[name](classes == c) for c in channels]))
        for name in names
    }


def target_maker(weights: LossWeights, card: ModelCard) -> TargetMaker | None:
    """Return a function that computes the targets of a loss, or None if it needs none."""
    if weights.kind != "multi_task":
        return None
    first = 0 if card.activation == "softmax" else 1
    channels = tuple(range(first, first + card.num_classes))
    return partial(make_targets, names=tuple(MAPS), channels=channels)
