"""The bundled model, rewritten for inference, on real hearts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_network
from napari_flomo.networks import fast
from napari_flomo.segmentation.preprocessing import prepare
from napari_flomo.volumes import read


def compare(path: Path, slices: list[int]) -> None:
    network, card = load_network(DEFAULT_MODEL, torch.device("cpu"))
    volume = read(path)
    images, _ = prepare(volume.data, volume.in_plane_spacing, card.preprocessing)
    images = images[slices]
    quick = fast(network.eval())
    with torch.inference_mode():
        plain, rewritten = network(images), quick(images)
        probabilities = plain.logits.softmax(1)
        assert (rewritten.logits.softmax(1) - probabilities).abs().max() < 5e-5
    assert probabilities.argmax(1).unique().numel() > 2  # the slices show a heart
    best = probabilities.topk(2, 1).values
    tied = best[:, 0] - best[:, 1] < 1e-4
    changed = plain.logits.argmax(1) != rewritten.logits.argmax(1)
    assert not (changed & ~tied).any()
    for name, value in plain.maps.items():
        assert (rewritten.maps[name] - value).abs().max() < 1e-3, name


def test_sample(repository):
    compare(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz", [2, 5, 8])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "slices"), [("patient001_frame02", [1, 4]), ("patient077_frame01", [3])]
)
def test_acdc(shared, name, slices):
    compare(shared / "data" / "acdc" / "images" / f"{name}.nii.gz", slices)
