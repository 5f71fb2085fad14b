"""Synthetic hearts with known labels."""

from __future__ import annotations

import numpy as np

from napari_flomo.volumes import Geometry, Volume

AXES = ("frames", "slices", "rows", "columns")
TURNED = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def heart(frames=None, slices=3, shape=(60, 52), spacing=(1.5, 1.5, 8.0)):
    """Return rings of three grey values off the centre, and their codes in the card."""
    rng = np.random.default_rng(0)
    codes = np.zeros((frames or 1, slices, *shape), np.uint8)
    row, column = np.mgrid[: shape[0], : shape[1]]
    for index in np.ndindex(codes.shape[:2]):
        centre = np.array(shape) / 2 + rng.uniform(-8, 8, 2)
        radius = np.hypot((row - centre[0]) * spacing[1], (column - centre[1]) * spacing[0])
        codes[index][radius < 24 - index[1]] = 7
        codes[index][radius < 14 - index[1]] = 200
    grey = np.select([codes == 7, codes == 200], [500, 1000], 0).astype(np.int16)
    axes = AXES
    if frames is None:
        grey, codes, axes = grey[0], codes[0], AXES[1:]
    geometry = Geometry(spacing, (-100.0, 35.5, 12.0), TURNED)
    return Volume(grey, geometry, axes, modality="MR", source="Doe_Jane", frame_step=0.03), codes


def soft_ring():
    """Return a soft ring off the centre, in pixels that are not square, and a bright spot."""
    row, column = np.mgrid[:70, :54]
    radius = np.hypot((row - 30) * 1.2, (column - 31) * 1.5)
    data = np.stack([np.clip((16 + n - radius) / 8 + 0.5, 0, 1) for n in range(3)]) * 900
    data[:, 60:66, 5:12] = 470
    geometry = Geometry((1.5, 1.2, 8.0), (5.0, -7.0, 3.0), TURNED)
    return Volume(data.astype(np.int16), geometry, modality="MR")


def dice(a, b):
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())
