"""The colours of structures, as readers with deuteranopia and protanopia see them.

Simulated with the matrices of Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009,
doi 10.1109/TVCG.2009.113, severity 1.0, on linear RGB.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_flomo.models import Label, load_card
from napari_flomo.session import STATE_COLOURS, structure_colours

VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
GREYS = np.linspace(0, 1, 17)[:, None] * np.ones(3)
OPACITY = 0.55
"""Of the labels over the image in napari."""


def seen(rgb: NDArray[np.float64], vision: str) -> NDArray[np.float64]:
    """Return CIELAB values of sRGB colours as a reader sees them."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ VISION[vision].T, 0, 1)
    back = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(back))


def distance(one: NDArray[np.float64], other: NDArray[np.float64], vision: str) -> float:
    """Return the smallest CIEDE2000 distance of two colours, or of two rows of colours."""
    return float(np.min(deltaE_ciede2000(seen(one, vision), seen(other, vision))))


def rgb(texts: Iterable[str]) -> list[NDArray[np.float64]]:
    """Return sRGB colours, 0 to 1, of texts like ``#0072b2``."""
    return [np.array([*bytes.fromhex(text.removeprefix("#"))]) / 255 for text in texts]


@pytest.fixture(scope="module")
def colours() -> list[NDArray[np.float64]]:
    """Right ventricle, myocardium and left ventricle of the bundled model."""
    found = structure_colours(load_card("flomo-b0-acdc").labels)
    assert sorted(found) == [1, 2, 3]
    return rgb(found.values())


@pytest.mark.parametrize("vision", VISION)
def test_structures_are_told_apart(colours: list[NDArray[np.float64]], vision: str) -> None:
    for one, other in combinations(colours, 2):
        assert distance(one, other, vision) > 20, "as contours"
        over = [OPACITY * colour + (1 - OPACITY) * GREYS for colour in (one, other)]
        assert distance(over[0], over[1], vision) > 12, "filled, over the same grey"


@pytest.mark.parametrize("vision", VISION)
def test_structures_are_told_from_the_image(
    colours: list[NDArray[np.float64]], vision: str
) -> None:
    for colour in colours:
        assert distance(np.broadcast_to(colour, GREYS.shape), GREYS, vision) > 15, "as a contour"
        over = OPACITY * colour + (1 - OPACITY) * GREYS
        assert distance(over, GREYS, vision) > 12, "filled, beside the same grey"


@pytest.mark.parametrize("vision", VISION)
def test_states_of_slices_are_told_apart(vision: str) -> None:
    for one, other in combinations(rgb(STATE_COLOURS.values()), 2):
        assert distance(one, other, vision) > 15


def test_other_structures_keep_the_colours_of_their_card() -> None:
    labels = [Label(0, "background", "#000000"), Label(4, "polyp", "#f97316")]
    assert structure_colours(labels) == {4: "#f97316"}
    heart = [*labels, Label(7, "LV", "#ffffff")]
    assert structure_colours(heart) == {4: "#f97316", 7: "#d55e00"}
