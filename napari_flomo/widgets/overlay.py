"""Colours of the uncertainty layer: transparent where the network is certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.session import uncertainty_maps

if TYPE_CHECKING:
    from napari.utils import Colormap

_STEPS = 256


def colours(threshold: float) -> NDArray[np.float32]:
    """Return 256 colours (red, green, blue, alpha) from certain to uncertain.

    Values below the threshold are transparent; values above it are never opaque, so that the image
    remains visible.
    """
    values = np.linspace(0, 1, _STEPS)
    table = np.empty((_STEPS, 4), np.float32)
    table[:, :3] = uncertainty_maps.colours(_STEPS)
    table[:, 3] = np.where(values >= threshold, 0.5 + 0.45 * values, 0)
    if threshold > 0:
        table[0, 3] = 0
    return table


def colormap(threshold: float) -> Colormap:
    """Return the colours as a napari colormap.

    Its name is short: napari's layer controls are as wide as the longest name.
    """
    from napari.utils import Colormap

    return Colormap(colours(threshold), name=f"above {threshold:.2f}")


def layer_arguments(threshold: float = uncertainty_maps.THRESHOLD) -> dict[str, Any]:
    """Return arguments of an image layer for an uncertainty map."""
    return {
        "colormap": colormap(threshold),
        "contrast_limits": (0.0, 1.0),
        "blending": "translucent_no_depth",
        "interpolation2d": "nearest",
    }
