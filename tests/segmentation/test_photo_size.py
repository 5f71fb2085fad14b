"""Resampling of photos to the size in the card, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_flomo.errors import FlomoError
from napari_flomo.models.card import IntensityRule, Preprocessing
from napari_flomo.segmentation.preprocessing import make_plan, prepare, prepare_labels, restore

RULES = Preprocessing(None, None, IntensityRule("percentile", 0, 100), size=96)


@pytest.mark.parametrize(
    ("shape", "resampled"),
    [((288, 384), (72, 96)), ((384, 288), (96, 72)), ((31, 47), (63, 96)), ((96, 96), (96, 96))],
)
def test_longer_side(shape, resampled):
    plan = make_plan(shape, (1.0, 1.0), RULES)
    assert plan.resampled == plan.network == resampled
    assert plan.native == shape


@pytest.mark.parametrize("shape", [(288, 384), (61, 47)])
def test_restore_does_not_shift(shape):
    row, column = np.mgrid[: shape[0], : shape[1]]
    middle = (shape[0] * 0.37, shape[1] * 0.61)
    disc = np.hypot(row - middle[0], column - middle[1]) < min(shape) * 0.15
    colours = np.stack([disc * 200, disc * 100, disc * 50], axis=-1).astype(np.uint8)[None]
    images, plan = prepare(colours, (1.0, 1.0), RULES)
    assert images.shape == (1, 3, *plan.network)
    classes = prepare_labels(disc[None].astype(np.uint8), plan).long()
    probabilities = torch.nn.functional.one_hot(classes, 2).movedim(-1, 1).float()
    back = restore(probabilities, plan)
    assert back.shape == (1, 2, *shape)
    found = np.argwhere(back[0, 1].numpy() > 0.5)
    assert found.mean(0) == pytest.approx(np.argwhere(disc).mean(0), abs=0.6)
    overlap = 2 * (disc & (back[0, 1].numpy() > 0.5)).sum() / (disc.sum() + len(found))
    assert overlap > 0.95


def test_size_with_crop():
    plan = make_plan((288, 384), (1.0, 1.0), replace(RULES, crop=96))
    assert (plan.resampled, plan.network, plan.offset) == ((72, 96), (96, 96), (-12, 0))


def test_invalid_sizes():
    with pytest.raises(FlomoError, match="would have for the model 96 x 10 pixels"):
        make_plan((960, 100), (1.0, 1.0), RULES)
    with pytest.raises(FlomoError, match="exclude each other"):
        replace(RULES, pixel_mm=1.0)
    with pytest.raises(FlomoError, match="'size'"):
        replace(RULES, size=8)
