"""The network's doubt as a layer: clear where it is certain, glowing where it is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation import MAPS

if TYPE_CHECKING:
    from napari.utils import Colormap

THRESHOLD = 0.4
"""Doubt below this is hidden at first. Calibrated probabilities are never quite sure: already at a
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


def title_of(name: str) -> str:
    """Return what people call a map."""
    return MAPS[name].title if name in MAPS else name.replace("_", " ").capitalize()


def explanation_of(name: str) -> str:
    """Say what a high value of a map means."""
    return MAPS[name].description if name in MAPS else "A map of the model's own"


def maps_offered(network: str, there: Iterable[str]) -> list[str]:
    """Return the maps that can be shown or computed, those that are there first.

    Parameters
    ----------
    network
        Of the model, by its name in the card.
    there
        Names of the maps that are computed already.

    Notes
    -----
    Of the network's own maps the mean over its stages is offered; a single stage is shown where
    somebody computed it.
    """
    names = list(there)
    names += [
        kind.name
        for kind in MAPS.values()
        if kind.name not in names and kind.stage is None and kind.offered_by(network)
    ]
    return names


def cost_of(name: str) -> str:
    """Say how long a map takes to compute, beside a segmentation."""
    passes = MAPS[name].passes if name in MAPS else 1
    return "as long as Segment" if passes == 1 else f"{passes} times as long as Segment"


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

    return Colormap(colours(threshold), name=f"flomo doubt above {threshold:.2f}")


def layer_arguments(threshold: float = THRESHOLD) -> dict[str, Any]:
    """Return how a doubt map is drawn."""
    return {
        "colormap": colormap(threshold),
        "contrast_limits": (0.0, 1.0),
        "blending": "translucent_no_depth",
        "interpolation2d": "nearest",
    }
