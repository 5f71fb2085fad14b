"""Which maps of uncertainty a viewer offers, what it says of them, and where their colours end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation import MAPS


def title_of(name: str) -> str:
    """Return what people call a map."""
    return MAPS[name].title if name in MAPS else name.replace("_", " ").capitalize()


def explanation_of(name: str) -> str:
    """Say what a high value of a map means."""
    return MAPS[name].description if name in MAPS else "A map of the model's own"


def entry_of(name: str, there: Iterable[str]) -> str:
    """Return what a list of maps says of one of them: its title, and whether it is there."""
    return title_of(name) if name in there else f"{title_of(name)} (not computed)"


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


def offer_text(name: str) -> str:
    """Say that a map is not there yet, and what it would take."""
    return f"Not computed yet: takes {cost_of(name)}."


def largest_shown(name: str, voxels: NDArray[Any]) -> float:
    """Return the value that gets the last colour; the first is that of 0.

    Entropies and the network's own maps fill their range, 0 to 1. How much views or draws of a
    slice contradict each other, and how far they scatter, stays far below the largest possible
    value: on that scale nothing would be seen, so the scale ends at the largest value of the image.

    Parameters
    ----------
    name
        Of the map.
    voxels
        All of it, whatever its axes.
    """
    if name not in MAPS or MAPS[name].shows == "entropy":
        return 1.0
    return float(np.max(voxels, initial=0.0)) or 1.0
