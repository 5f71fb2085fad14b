"""The network's uncertainty as a layer: clear where it is certain, glowing where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.utils import Colormap

THRESHOLD = 0.4
"""Uncertainty below this is hidden at first. Calibrated probabilities are never sure: already at a
quarter of the largest entropy the whole neighbourhood of a heart would glow."""

# From dark violet over magenta to pale yellow: none of it is the blue, green or red of a label, and
# the brightness grows throughout, so that it is read without telling colours apart.
_STOPS = np.array(
    [
        (0.00, 0.23, 0.06, 0.45),
        (0.35, 0.60, 0.12, 0.70),
        (0.60, 0.93, 0.30, 0.78),
        (0.80, 1.00, 0.67, 0.62),
        (1.00, 1.00, 0.98, 0.60),
    ]
)
_STEPS = 256


def colours(threshold: float) -> NDArray[np.float32]:
    """Return 256 colours (red, green, blue, alpha) from certain to no idea.

    Below the threshold all is clear; above it the colour is never quite solid, so that the image
    shows through.
    """
    values = np.linspace(0, 1, _STEPS)
    table = np.empty((_STEPS, 4), np.float32)
    for channel in range(3):
        table[:, channel] = np.interp(values, _STOPS[:, 0], _STOPS[:, channel + 1])
    table[:, 3] = np.where(values >= threshold, 0.5 + 0.45 * values, 0)
    if threshold > 0:
        table[0, 3] = 0
    return table


def colormap(threshold: float) -> Colormap:
    """Return the colours as napari takes them."""
    from napari.utils import Colormap

    return Colormap(colours(threshold), name=f"flomo uncertainty above {threshold:.2f}")


def layer_arguments(threshold: float = THRESHOLD) -> dict[str, Any]:
    """Return how an uncertainty map is drawn."""
    return {
        "colormap": colormap(threshold),
        "contrast_limits": (0.0, 1.0),
        "blending": "translucent_no_depth",
        "interpolation2d": "nearest",
    }
