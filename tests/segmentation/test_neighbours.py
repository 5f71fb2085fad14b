"""A model that sees the slices above and below each slice."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_flomo.errors import FlomoError
from napari_flomo.schema import SchemaError
from napari_flomo.segmentation import Segmenter, prepare
from napari_flomo.segmentation.engines.export_notes import preprocessing_notes
from napari_flomo.volumes import Geometry, Volume

N_SLICES = 5


class Sum(nn.Module):
    """Class 1 where slice and neighbours together are bright, as only their sum can tell."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(1.5))

    def forward(self, images: Tensor) -> SimpleNamespace:
        total = images.sum(1, keepdim=True)
        return SimpleNamespace(logits=torch.cat([self.level - total, total - self.level], 1) * 50)


@pytest.fixture
def seeing(card):
    """A card whose model sees one slice above and one below."""
    rules = replace(card.preprocessing, neighbours=1)
    return replace(card, in_channels=3, preprocessing=rules, labels=card.labels[:2])


@pytest.fixture
def stack():
    """Slices of one value each: 0, 0.25, ... 1."""
    return np.linspace(0, 1, N_SLICES)[:, None, None] * np.ones((1, 20, 24))


def test_channels_are_neighbouring_slices(seeing, stack):
    images, _ = prepare(stack, (1.0, 1.0), seeing.preprocessing)
    assert images.shape == (N_SLICES, 3, 20, 24)
    expected = [[0, 0, 0.25], [0, 0.25, 0.5], [0.25, 0.5, 0.75], [0.5, 0.75, 1], [0.75, 1, 0]]
    np.testing.assert_allclose(images.mean((2, 3)), expected, atol=1e-6)


def test_two_neighbours_on_each_side(seeing, stack):
    images, _ = prepare(stack, (1.0, 1.0), replace(seeing.preprocessing, neighbours=2))
    assert images.mean((2, 3))[1].tolist() == pytest.approx([0, 0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize("slices", [None, [4], [0, 3]])
def test_segment_with_neighbours(seeing, stack, slices):
    volume = Volume(
        np.stack([stack, 1 - stack]),
        Geometry((1.0, 1.0, 8.0)),
        axes=("frames", "slices", "rows", "columns"),
    )
    result = Segmenter(Sum(), seeing, "cpu").segment(volume, slices=slices)
    found = result.labels.data[:, :, 10, 12]
    # Sums of the frame: 0.25 0.75 1.5 2.25 1.75; the other one is the same from behind.
    bright = np.array([[0, 0, 0, 7, 7], [7, 7, 0, 0, 0]])
    chosen = range(N_SLICES) if slices is None else slices
    for index in set(chosen) - {2}:  # where sum and level are equal, chance decides
        assert found[:, index].tolist() == bright[:, index].tolist()


def test_grey_stacks_only(seeing, stack):
    colours = np.repeat(stack[..., None], 3, axis=-1)
    volume = Volume(
        colours, Geometry((1.0, 1.0, 8.0)), axes=("slices", "rows", "columns", "channels")
    )
    with pytest.raises(FlomoError, match="grey images"):
        Segmenter(Sum(), seeing, "cpu").segment(volume)


@pytest.mark.parametrize(
    "change", [{"in_channels": 1}, {"in_channels": 5}, {"input_kind": "photo"}]
)
def test_contradictory_cards(seeing, change):
    with pytest.raises(SchemaError, match=r"'preprocessing\.neighbours'"):
        replace(seeing, **change)
    with pytest.raises(SchemaError, match="'neighbours' must be 0 to"):
        replace(seeing.preprocessing, neighbours=-1)


def test_export_notes(card, seeing):
    def steps(one):
        return [step["step"] for step in preprocessing_notes(one, (64, 64), "model.onnx")["before"]]

    assert steps(card) == ["intensity", "resample", "crop"]
    assert steps(seeing) == ["intensity", "resample", "crop", "neighbours"]
