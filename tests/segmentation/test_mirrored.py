"""Mean predictions over mirrored views."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_flomo.errors import Cancelled
from napari_flomo.progress import Progress
from napari_flomo.segmentation import Segmenter, passes_of
from napari_flomo.segmentation.scores import predictive_entropy
from napari_flomo.segmentation.tta import MIRRORED, VIEWS
from napari_flomo.volumes import Geometry, Volume

Make = Callable[..., Segmenter]
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
def lopsided(make_segmenter: Make) -> Segmenter:
    card = make_segmenter().card
    return Segmenter(Lopsided(card.num_classes), card, "cpu")


@pytest.fixture
def volume() -> Volume:
    row, column = np.mgrid[:40, :36]
    radius = np.hypot(row - 17, column - 20)
    data = np.stack([np.clip((9 + n - radius) / 6 + 0.5, 0, 1) for n in range(3)])
    geometry = Geometry((1.5, 1.5, 8.0), (5.0, -7.0, 3.0), (0, -1, 0, 1, 0, 0, 0, 0, 1))
    return Volume((data * 900).astype(np.int16), geometry, ("slices", "rows", "columns"))


def flipped(volume: Volume, axes: tuple[int, ...]) -> Volume:
    return Volume(np.flip(volume.data, axes).copy(), volume.geometry, volume.axes)


def test_mean_over_mirrored_slices(lopsided: Segmenter, volume: Volume) -> None:
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
    entropy = predictive_entropy(torch.from_numpy(found[None]), "softmax")[0].numpy()
    assert np.allclose(result.uncertainty["entropy"].data, entropy, atol=1e-6)
    assert result.labels.geometry == volume.geometry


def test_mirrored_image_gives_mirrored_labels(lopsided: Segmenter, volume: Volume) -> None:
    labels = lopsided.segment(volume, mirrored=True).labels.data
    assert len(np.unique(labels)) == 3
    for axes in FLIPS[1:]:
        turned = flipped(volume, axes)
        assert np.array_equal(
            lopsided.segment(turned, mirrored=True).labels.data, np.flip(labels, axes)
        )
        assert not np.array_equal(lopsided.segment(turned).labels.data, np.flip(labels, axes))


def test_maps_over_views_share_passes(lopsided: Segmenter, volume: Volume) -> None:
    assert passes_of(["entropy"], mirrored=True) == len(MIRRORED)
    assert passes_of(["entropy", "variance"], mirrored=True) == len(VIEWS)
    reported: list[tuple[int, int]] = []

    def progress(progress: Progress) -> None:
        reported.append((progress.done, progress.total))

    plain = lopsided.segment(volume, maps=["variance"])
    alone = lopsided.segment(volume, mirrored=True, progress=progress)
    assert reported[-1] == (3 * len(MIRRORED), 3 * len(MIRRORED))
    reported.clear()
    both = lopsided.segment(volume, mirrored=True, maps=["variance"], progress=progress)
    assert reported[-1] == (3 * len(VIEWS), 3 * len(VIEWS))
    assert np.array_equal(both.probabilities.data, alone.probabilities.data)
    assert np.array_equal(both.labels.data, alone.labels.data)
    assert np.array_equal(both.uncertainty["variance"].data, plain.uncertainty["variance"].data)


def test_the_manifest_tells(lopsided: Segmenter, volume: Volume) -> None:
    assert lopsided.segment(volume).manifest["views"] == "plain"
    assert lopsided.segment(volume, mirrored=True).manifest["views"] == "mirrored"


def test_cancel_between_views(lopsided: Segmenter, volume: Volume) -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        lopsided.segment(volume, mirrored=True, cancelled=cancelled)
    assert len(asked) == 4
