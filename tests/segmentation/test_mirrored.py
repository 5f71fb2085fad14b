"""Mean predictions over mirrored views."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hearts import soft_ring

from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.scores import predictive_entropy
from napari_flomo.volumes import Volume

FLIPS = ((), (-1,), (-2,), (-2, -1))


class Lopsided(torch.nn.Module):
    """By brightness, but of a pixel further down and to the right: it matters how images lie."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.levels = torch.nn.Parameter(torch.linspace(0, 1, classes))

    def forward(self, images: torch.Tensor) -> Any:
        moved = images.roll((-3, -5), (-2, -1))
        return SimpleNamespace(logits=-20 * (moved[:, :1] - self.levels[:, None, None]) ** 2)


@pytest.fixture
def lopsided(make_segmenter):
    card = make_segmenter().card
    return Segmenter(Lopsided(card.num_classes), card, "cpu")


@pytest.fixture
def volume():
    return soft_ring()


def flipped(volume: Volume, axes: tuple[int, ...]) -> Volume:
    return Volume(np.flip(volume.data, axes).copy(), volume.geometry, volume.axes)


def test_mean_over_mirrored_slices(lopsided, volume):
    singles = [
        np.flip(lopsided.segment(flipped(volume, axes)).probabilities.data, axes) for axes in FLIPS
    ]
    assert not np.allclose(singles[0], singles[1], atol=0.1), "the network is not lopsided"
    result = lopsided.segment(volume, mirrored=True)
    found = result.probabilities.data
    assert np.allclose(found, np.mean(singles, axis=0), atol=1e-6)
    assert np.allclose(found.sum(0), 1, atol=1e-6)
    codes = np.array([label.code for label in lopsided.card.classes])
    assert np.array_equal(result.labels.data, codes[found.argmax(0)])
    entropy = predictive_entropy(found[None], "softmax")[0]
    assert np.allclose(result.uncertainty["entropy"].data, entropy, atol=1e-6)
    assert result.labels.geometry == volume.geometry


def test_mirrored_image_gives_mirrored_labels(lopsided, volume):
    labels = lopsided.segment(volume, mirrored=True).labels.data
    assert len(np.unique(labels)) == 3
    for axes in FLIPS[1:]:
        turned = flipped(volume, axes)
        assert np.array_equal(
            lopsided.segment(turned, mirrored=True).labels.data, np.flip(labels, axes)
        )
        assert not np.array_equal(lopsided.segment(turned).labels.data, np.flip(labels, axes))


def test_maps_over_views_are_those_of_plain_labels(lopsided, volume):
    plain = lopsided.segment(volume, maps=["variance"])
    alone = lopsided.segment(volume, mirrored=True)
    both = lopsided.segment(volume, mirrored=True, maps=["variance"])
    assert np.array_equal(both.probabilities.data, alone.probabilities.data)
    assert np.array_equal(both.labels.data, alone.labels.data)
    assert np.array_equal(both.uncertainty["variance"].data, plain.uncertainty["variance"].data)
    assert (plain.manifest["views"], alone.manifest["views"]) == ("plain", "mirrored")
