"""Uncertainty maps that a viewer offers: titles, explanations, colours and their range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation import MAPS

THRESHOLD = 0.4
"""Uncertainty below this is hidden at first. Calibrated probabilities are never certain: above a
quarter of the largest entropy, the whole neighbourhood of a heart would be coloured."""

# From dark violet over magenta to pale yellow: none of it is the blue, green or red of a label, and
# the brightness increases throughout, so that it can be read without distinguishing colours.
COLOUR_STOPS = np.array(
    [
        (0.00, 0.23, 0.06, 0.45),
        (0.35, 0.60, 0.12, 0.70),
        (0.60, 0.93, 0.30, 0.78),
        (0.80, 1.00, 0.67, 0.62),
        (1.00, 1.00, 0.98, 0.60),
    ]
)
"""Position from 0 to 1, red, green and blue."""


def colours(count: int = 256) -> NDArray[np.float64]:
    """Return colours (red, green, blue) from certain to most uncertain."""
    positions, channels = COLOUR_STOPS[:, 0], COLOUR_STOPS[:, 1:].T
    values = np.linspace(0, 1, count)
    return np.stack([np.interp(values, positions, channel) for channel in channels], axis=1)


def title_of(name: str) -> str:
    """Return the title of a map."""
    return MAPS[name].title if name in MAPS else name.replace("_", " ").capitalize()


def explanation_of(name: str) -> str:
    """Describe what a high value of a map means."""
    return MAPS[name].description if name in MAPS else "A map of the model's own"


def entry_of(name: str, there: Iterable[str]) -> str:
    """Return the title of a map in a list, and whether it was computed."""
    return title_of(name) if name in there else f"{title_of(name)} (not computed)"


def maps_offered(network: str, there: Iterable[str]) -> list[str]:
    """Return the maps that can be shown or computed, those that are there first.

    ``network`` is the name in the model's card; ``there`` are the maps that are computed already.
    Of the network's own maps the mean over its stages is offered, a single stage only if computed.
    """
    names = list(there)
    names += [
        kind.name
        for kind in MAPS.values()
        if kind.name not in names and kind.stage is None and kind.offered_by(network)
    ]
    return names


def offer_text(name: str) -> str:
    """Return the message that a map was not computed yet, and how long that takes."""
    passes = MAPS[name].passes if name in MAPS else 1
    times = "" if passes == 1 else f"{passes} times "
    return f"Not computed yet: takes {times}as long as Segment."


def largest_shown(name: str, voxels: NDArray[Any]) -> float:
    """Return the value that gets the last colour; the first colour is that of 0.

    Entropies and the network's own maps fill their range, 0 to 1. Disagreement and variance of
    views or draws stay far below the largest possible value, so their scale ends at the largest
    value of the image. ``voxels`` is the whole map, whatever its axes.
    """
    if name not in MAPS or MAPS[name].shows == "entropy":
        return 1.0
    return float(np.max(voxels, initial=0.0)) or 1.0
