"""Uncertainty maps of MADGNet, FM-BFF-Net and FIAS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_flomo.errors import FlomoError
from napari_flomo.models import Label, ModelCard
from napari_flomo.networks import build
from napari_flomo.segmentation import MAPS, Segmenter
from napari_flomo.volumes import Geometry, Volume

NAMES = ("madgnet-resnet50", "fm-bff-net", "fias")


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_a_companion(name: str, card: ModelCard) -> None:
    """On a photo of odd sides in colour, one sigmoid a structure; its own maps are refused."""
    labels = (*card.labels, Label(201, "third", "#123456"))
    photo = replace(
        card, name="random", network=name, in_channels=3, input_kind="photo", activation="sigmoid",
        labels=labels, threshold=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    made = Segmenter(build(name, in_channels=3, num_classes=3), photo, "cpu")
    data = np.random.default_rng(0).integers(0, 255, (1, 31, 30, 3), np.uint8)
    axes = ("slices", "rows", "columns", "channels")
    volume = Volume(data, Geometry.unknown(), axes, modality="photo")
    offered = [kind.name for kind in MAPS.values() if kind.offered_by(name)]
    assert set(offered) >= {"entropy", "tta_entropy", "mutual_information", "variance"}
    result = made.segment(volume, maps=offered)
    assert list(result.uncertainty) == offered
    for key, one in result.uncertainty.items():
        assert one.data.shape == (1, 31, 30), key
        assert np.isfinite(one.data).all(), key
        assert 0 <= one.data.min() <= one.data.max() <= 1, key
    for key in ("entropy", "tta_entropy", "variance"):
        assert result.uncertainty[key].data.max() > 0, key
    assert np.array_equal(result.labels.data, made.segment(volume).labels.data)
    refused: list[Any] = ["network_entropy"] + ([] if name == "fias" else ["mc_variance"])
    for key in refused:
        with pytest.raises(FlomoError, match=f"random has no map '{key}'"):
            made.segment(volume, maps=[key])
