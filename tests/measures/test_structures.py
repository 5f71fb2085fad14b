"""Volumes of labelled structures, and incremental updates of voxel counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.measures import VoxelCounts, structure_volumes
from napari_flomo.volumes import Geometry, Volume, read

CINE = ("frames", "slices", "rows", "columns")


def test_structure_volumes() -> None:
    data = np.zeros((2, 2, 4, 4), np.uint8)
    data[0, :, :2, :2] = 3  # 8 voxels in frame 0
    data[1, 0, 0, 0] = 3
    labels = Volume(data, Geometry((1.25, 2.0, 8.0)), CINE)
    found = structure_volumes(labels, {3: "LV", 1: "RV"})
    assert [(size.frame, size.name, size.voxels) for size in found] == [
        (0, "LV", 8),
        (0, "RV", 0),
        (1, "LV", 1),
        (1, "RV", 0),
    ]
    assert found[0].ml == pytest.approx(8 * 20 / 1000)
    assert found[1].ml == 0
    assert [size.frame for size in structure_volumes(labels, {3: "LV"}, frames=[1])] == [1]


def test_agrees_with_the_published_volume(shared: Path) -> None:
    labels = read(shared / "data" / "sunnybrook" / "labels" / "SC-HF-I-1_ED_gt.nii.gz")
    cavity, wall = structure_volumes(labels, {3: "LV", 2: "MYO"})
    assert cavity.ml == pytest.approx(195.8, abs=0.05)
    assert wall.ml == pytest.approx(112.5, abs=0.05)


def test_unknown_spacing() -> None:
    labels = Volume(np.ones((1, 4, 4), np.uint8), Geometry.unknown())
    (size,) = structure_volumes(labels, {1: "polyp"})
    assert (size.voxels, size.ml) == (16, None)


def test_grey_values(make_volume: Callable[..., Volume]) -> None:
    with pytest.raises(FlomoError, match="label images only"):
        structure_volumes(make_volume(dtype="float32"), {1: "LV"})


@pytest.mark.parametrize("shape", [(4, 9, 8), (3, 4, 9, 8)])
def test_update_equals_recount(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    data = generator.integers(0, 4, shape).astype(np.uint8)
    labels = Volume(data, Geometry((1.25, 2.0, 8.0)), CINE[-len(shape) :])
    counts = VoxelCounts.of(labels, (3, 1))
    frame = labels.n_frames - 1
    pixels = data.reshape(-1, *shape[-3:])[frame, 2]
    pixels[:] = generator.integers(0, 4, pixels.shape)
    counts.update(frame, 2, pixels)
    for size in structure_volumes(labels, {3: "LV", 1: "RV"}):
        assert counts.voxels(size.code, size.frame) == size.voxels
        assert counts.ml(size.code, size.frame) == pytest.approx(size.ml)
