"""Segment and save with a real network and real images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, ModelCard, Preprocessing, build_network, save_model
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Volume, read


@pytest.fixture
def folder(card: ModelCard, tmp_path: Path) -> Path:
    """FLoMo-Net-B0 with random weights, saved."""
    torch.manual_seed(0)
    changed = replace(
        card,
        name="random",
        network="flomo-b0",
        preprocessing=Preprocessing(2.5, None, IntensityRule("percentile", 1, 99)),
    )
    save_model(tmp_path / "model", build_network(changed), changed)
    return tmp_path / "model"


def test_real_network(folder: Path, make_heart: Callable[..., Volume]) -> None:
    volume = make_heart(slices=3)
    made = Segmenter.from_pretrained(folder, device="cpu")
    first, again = made.segment(volume), made.segment(volume)
    assert np.array_equal(first.labels.data, again.labels.data)
    assert first.probabilities is not None
    assert np.allclose(first.probabilities.data.sum(0), 1, atol=1e-5)
    one = made.segment(volume, slices=[1])
    difference = first.uncertainty["entropy"].data[1] - one.uncertainty["entropy"].data[1]
    assert np.abs(difference).max() < 1e-4  # alone in its batch or not
    assert first.manifest["model"]["weights_sha256"] == made.card.sha256


def test_save_all_or_nothing(
    folder: Path, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    result = Segmenter.from_pretrained(folder, "cpu").segment(make_heart())
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(FlomoError, match="does not exist"):
        result.save(out / "l.nii.gz", uncertainty=tmp_path / "absent" / "u.nii.gz")
    with pytest.raises(FlomoError, match="keep_probabilities"):
        replace(result, probabilities=None).save(out / "l.nii.gz", probabilities=out / "p.nii.gz")
    with pytest.raises(FlomoError, match="not a known image format"):
        result.save(out / "l.nii.gz", uncertainty=out / "u.xyz")
    assert not list(out.iterdir())


@pytest.mark.shared
def test_true_labels_are_preserved(shared: Path) -> None:
    """A perfect network at the card's pixel size loses little at the native one."""
    from napari_flomo.segmentation.preprocessing import make_plan, prepare_labels, restore

    truth = read(shared / "data" / "acdc" / "labels" / "patient001_frame01_gt.nii.gz")
    rule = Preprocessing(1.25, None, IntensityRule("percentile", 1, 99))
    plan = make_plan(truth.spatial_shape[1:], truth.in_plane_spacing, rule)
    classes = prepare_labels(truth.data, plan).long()
    perfect = torch.nn.functional.one_hot(classes, 4).movedim(-1, 1).float()
    back = restore(perfect, plan).argmax(1).numpy()
    for code in (1, 2, 3):
        mine, true = back == code, truth.data == code
        assert 2 * (mine & true).sum() / (mine.sum() + true.sum()) > 0.97
