"""Labels are brought onto the storage of their image at the same place, or refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, align_labels, same_place, whole_labels

DIRECTION = tuple(Rotation.from_euler("xyz", [0.4, -0.3, 0.2]).as_matrix().ravel().tolist())
GRID = Geometry((1.4, 1.5, 9.0), (-30.0, 12.0, 7.0), DIRECTION)
CODES = np.random.default_rng(3).integers(0, 4, (4, 10, 12)).astype(np.uint8)
IMAGE = Volume(np.zeros(CODES.shape, np.float32), GRID)
LABELS = Volume(CODES, GRID)


def stored(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """Store a volume otherwise at the same place: axes in another order, some of them reversed."""
    affine = volume.geometry.affine_lps()
    data, lead = volume.data, volume.data.ndim - 3
    for axis, flip in enumerate(flips):
        if flip:
            data = np.flip(data, lead + axis)
            column = 2 - axis
            affine[:3, 3] += affine[:3, column] * (data.shape[lead + axis] - 1)
            affine[:3, column] *= -1
    data = data.transpose(*range(lead), *(lead + axis for axis in order))
    columns = [2 - axis for axis in order][::-1]
    affine[:3, :3] = affine[:3, columns]
    return replace(volume, data=data, geometry=Geometry.from_affine_lps(affine))


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_every_storage_order_is_aligned(order: tuple, flips: tuple) -> None:
    aligned = align_labels(stored(LABELS, order, flips), IMAGE)
    np.testing.assert_array_equal(aligned.data, CODES)
    assert aligned.geometry == GRID
    assert aligned.data.dtype == np.uint8


def test_frames_stay_frames() -> None:
    codes = np.stack([CODES, CODES[::-1], CODES * 0])
    axes = ("frames", "slices", "rows", "columns")
    labels = stored(Volume(codes, GRID, axes), (1, 2, 0), (True, False, True))
    image = Volume(np.zeros((*codes.shape, 3), np.uint8), GRID, (*axes, "channels"), frame_step=0.1)
    aligned = align_labels(labels, image)
    np.testing.assert_array_equal(aligned.data, codes)
    assert aligned.axes == axes
    assert aligned.frame_step == 0.1
    with pytest.raises(FlomoError, match=r"3 x .* the image 1 x"):
        align_labels(labels, IMAGE)


def moved(**changes: object) -> Volume:
    return replace(LABELS, geometry=replace(GRID, **changes))


@pytest.mark.parametrize(
    "labels",
    [
        moved(origin=(-30.0, 12.0, 7.13)),
        moved(origin=(-30.01, 12.01, 7.0)),
        moved(spacing=(1.41, 1.5, 9.0)),  # 11 columns further it is 0.11 mm, of 1.4
        moved(spacing=(1.4, 1.5, 9.2)),
        moved(direction=tuple(round(value, 3) for value in DIRECTION)),
    ],
)
def test_rounding_is_accepted(labels: Volume) -> None:
    aligned = align_labels(labels, IMAGE)
    np.testing.assert_array_equal(aligned.data, CODES)
    assert aligned.geometry == GRID
    assert same_place(labels, IMAGE)


@pytest.mark.parametrize(
    ("labels", "far"),
    [
        (moved(origin=tuple(GRID.positions((0.2, 0, 0)))), r"0\.2 voxels \(0\.28 mm\)"),
        (moved(origin=tuple(GRID.positions((0, 0, -1)))), r"1 voxels \(9 mm\)"),
        (moved(spacing=(1.42, 1.5, 9.0)), r"0\.157 voxels"),  # only at the far end
        (moved(spacing=(1.0, 1.0, 1.0)), "voxels"),
        (moved(direction=Geometry((1, 1, 1)).direction), "voxels"),
    ],
)
def test_shifted_labels_are_refused_with_the_distance(labels: Volume, far: str) -> None:
    with pytest.raises(FlomoError, match=f"shifted by up to {far}" if far[0] != "v" else far):
        align_labels(labels, IMAGE)
    assert not same_place(labels, IMAGE)


def test_another_size_is_refused() -> None:
    with pytest.raises(FlomoError, match=r"1 x 3 x 10 x 12 .* the image 1 x 4 x 10 x 12"):
        align_labels(replace(LABELS, data=CODES[:3]), IMAGE)


def test_photos_are_compared_by_shape() -> None:
    photo = Volume.from_array(np.zeros((10, 12, 3), np.uint8), axes=("rows", "columns", "channels"))
    mask = Volume.from_array(CODES[0])
    np.testing.assert_array_equal(align_labels(mask, photo).data, CODES[:1])
    with pytest.raises(FlomoError, match="do not fit"):
        align_labels(Volume.from_array(CODES[0].T), photo)
    with pytest.raises(FlomoError, match="labels do not have a spacing"):
        align_labels(Volume.from_array(CODES), IMAGE)


def test_scaled_labels_are_rounded() -> None:
    scaled = replace(LABELS, data=CODES * np.float32(1.0000153))
    aligned = align_labels(scaled, IMAGE)
    np.testing.assert_array_equal(aligned.data, CODES)
    assert aligned.data.dtype.kind == "i"
    shifted = replace(LABELS, data=CODES + 0.009)
    np.testing.assert_array_equal(whole_labels(shifted).data, CODES)
    for wrong in (CODES * 1.01, CODES + 0.5, np.where(CODES == 3, np.nan, CODES)):
        with pytest.raises(FlomoError, match="not whole numbers"):
            align_labels(replace(LABELS, data=wrong), IMAGE)
