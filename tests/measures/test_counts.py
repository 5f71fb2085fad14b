"""Incremental updates of voxel counts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.measures import VoxelCounts, structure_volumes
from napari_flomo.volumes import Geometry, Volume

CINE = ("frames", "slices", "rows", "columns")


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
