"""Volume-time curves, and frames whose volume jumps."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.measures import HeartCodes, VoxelCounts, volume_curves
from napari_flomo.measures.curve import jumps_of
from napari_flomo.volumes import Geometry, Volume

SUNNYBROOK = np.array([172.5, 153.1, 137.1, 131.8, 134.0, 145.4, 171.4, 174.1, 182.2, 186.8])
"""The model's left ventricle in the sample cine, in ml."""


def beating(frames: int = 25, edv: float = 150.0, esv: float = 60.0) -> np.ndarray:
    """Return volumes of a heart whose systole takes 40 % of the cycle."""
    time = np.arange(frames) / frames
    phase = np.where(time < 0.4, time / 0.8, 0.5 + (time - 0.4) / 1.2)
    return esv + (edv - esv) * (1 + np.cos(2 * np.pi * phase)) / 2


@pytest.mark.parametrize("frames", [12, 20, 25, 30])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_a_heart_does_not_jump(frames: int, noise: float) -> None:
    volumes = beating(frames) + np.random.default_rng(frames).normal(0, noise, frames)
    for start in range(frames):  # not every cine begins at end diastole
        assert jumps_of(np.roll(volumes, start)) == ()
    assert jumps_of(SUNNYBROOK) == ()


@pytest.mark.parametrize("factor", [0.6, 1.5])
@pytest.mark.parametrize("frame", [0, 10, 23])
def test_a_frame_that_jumps(frame: int, factor: float) -> None:
    volumes = beating()
    volumes[frame] *= factor
    assert jumps_of(volumes) == (frame,)
    volumes[(frame + 5) % 25] = np.nan
    assert jumps_of(volumes) == (frame,), "a frame that was not segmented is skipped"


def test_few_frames() -> None:
    assert jumps_of(np.array([100.0, 10.0, 100.0, 100.0])) == ()
    assert jumps_of(np.full(20, np.nan)) == ()
    assert jumps_of(np.zeros(20)) == ()


def test_curves_of_the_parts() -> None:
    data = np.zeros((3, 1, 4, 4), np.uint8)
    data[0, 0, :2], data[1, 0, 0], data[2, 0, 0, 0] = 3, 3, 1
    labels = Volume(data, Geometry((10.0, 10.0, 10.0)), ("frames", "slices", "rows", "columns"))
    counts = VoxelCounts.of(labels, (1, 3))
    left, right = volume_curves(counts, HeartCodes(left_ventricle=3, right_ventricle=1), [0, 2])
    assert (left.code, right.code) == (3, 1)
    np.testing.assert_array_equal(left.volumes, [8, np.nan, 0])
    np.testing.assert_array_equal(right.volumes, [0, np.nan, 1])
