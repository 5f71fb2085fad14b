"""Warnings about implausible hearts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.measures import implausible
from napari_flomo.models import info
from napari_flomo.volumes import Geometry, Volume

CARD = info(DEFAULT_MODEL)[1]


def heart(spacing: tuple[float, float, float], slices: int = 8) -> Volume:
    """Return about 30 x 10^3 voxels of a heart, 250 ml at 1 x 1 x 8 mm and 10 slices."""
    row, column = np.mgrid[:128, :128]
    data = np.zeros((slices, 128, 128), np.uint8)
    radius = np.hypot(row - 64, column - 64)
    for code, outer in ((1, 36), (2, 28), (3, 20)):
        data[:, radius < outer] = code
    return Volume(data, Geometry(spacing))


def test_plausible_hearts() -> None:
    for spacing in ((1.4, 1.4, 8.0), (0.7, 0.7, 8.0), (1.0, 1.0, 10.0)):
        assert implausible(heart(spacing), CARD) == ()


@pytest.mark.parametrize("spacing", [(0.2, 0.2, 8.0), (0.29, 1.0, 20.0), (3.2, 3.2, 5.0)])
def test_pixels(spacing: tuple) -> None:
    (sentence, *_) = implausible(heart(spacing), CARD)
    assert "Pixels of" in sentence
    assert "0.3 to 3 mm" in sentence


def test_small_heart() -> None:
    small = heart((0.5, 0.5, 1.0), 6)
    (sentence,) = implausible(small, CARD)
    assert "The labelled heart has 6.07 ml" in sentence
    assert "less than that of a newborn (15 ml)" in sentence
    assert implausible(small, CARD, complete=False) == ()
    assert implausible(heart((0.5, 0.5, 1.0), 2), CARD) == (), "two slices need not be a heart"
    nothing = small.with_data(np.zeros(small.data.shape, np.uint8))
    assert "has 0 ml" in implausible(nothing, CARD)[0]


def test_large_heart() -> None:
    (sentence,) = implausible(heart((2.9, 2.9, 20.0), 8), CARD)
    assert "more than any heart (3000 ml)" in sentence


def test_largest_segmented_frame() -> None:
    one = heart((1.4, 1.4, 8.0)).data
    cine = Volume(
        np.stack([one * 0, one]), Geometry((1.4, 1.4, 8.0)), ("frames", "slices", "rows", "columns")
    )
    assert implausible(cine, CARD) == ()
    assert "has 0 ml" in implausible(cine, CARD, [0])[0]


def test_not_checked() -> None:
    labels = heart((0.1, 0.1, 1.0))
    other = replace(
        CARD,
        labels=tuple(replace(one, name=f"part {one.code}", snomed=None) for one in CARD.labels),
    )
    assert implausible(labels, other) == ()
    assert implausible(replace(labels, geometry=Geometry.unknown()), CARD) == ()
