"""A network that classifies pixels by brightness."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from napari_flomo.models import IntensityRule, Label, ModelCard, Preprocessing
from napari_flomo.segmentation import Segmenter

sys.path.insert(0, str(Path(__file__).parent))  # helpers of these tests


class Brightness(nn.Module):
    """Class k is most likely where the intensity is nearest to ``k / (classes - 1)``."""

    def __init__(self, classes: int, sharpness: float = 200.0) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.linspace(0, 1, classes))
        self.sharpness = sharpness
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> SimpleNamespace:
        self.batches.append(len(images))
        distance = (images[:, :1] - self.levels[:, None, None]) ** 2
        return SimpleNamespace(logits=-self.sharpness * distance)


@pytest.fixture
def card():
    """Three classes by brightness, without resampling."""
    return ModelCard(
        name="brightness",
        network="brightness",
        network_arguments={},
        in_channels=1,
        input_kind="stack",
        labels=(
            Label(0, "ground", "#000000"),
            Label(7, "wall", "#2ca02c"),
            Label(200, "cavity", "#d62728"),
        ),
        preprocessing=Preprocessing(None, None, IntensityRule("percentile", 0, 100)),
        activation="softmax",
        licence="CC0-1.0",
        training_data="none",
    )


@pytest.fixture
def make_segmenter(card):
    """Make a segmenter by brightness; changes go to the card, or to its preprocessing."""

    def make(*, sharpness=200.0, **changes):
        within = {key: changes.pop(key) for key in ("pixel_mm", "crop") if key in changes}
        preprocessing = replace(card.preprocessing, **within)
        changed = replace(card, preprocessing=preprocessing, **changes)
        return Segmenter(Brightness(changed.num_classes, sharpness), changed, "cpu")

    return make
