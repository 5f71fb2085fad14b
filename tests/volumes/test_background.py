"""NaN outside the field of view becomes background; within the image it stays an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, fill_background, read


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(500, 100, shape or (5, 40, 44)).astype(np.float32)


def test_corners_of_a_rotated_grid() -> None:
    options = {"reshape": False, "order": 1, "cval": np.nan}
    turned = [ndimage.rotate(one, 20 + 5 * n, **options) for n, one in enumerate(values())]
    data = np.stack(turned)
    missing = int(np.isnan(data).sum())
    assert missing > 500
    volume = Volume(data, Volume.from_array(data, (8, 1.4, 1.4)).geometry)
    filled = fill_background(volume)
    assert filled.notes == (
        f"{missing} voxels without a value (NaN or infinite) outside the field of view were "
        "treated as background.",
    )
    known = ~np.isnan(data)
    np.testing.assert_array_equal(filled.data[known], data[known])
    assert set(filled.data[~known].tolist()) == {float(data[known].min())}
    assert filled.data.dtype == np.float32


def test_slices_beyond_the_stack_and_an_oblique_cut() -> None:
    data = values(6, 40, 44)
    data[0] = np.nan
    data[5] = np.nan
    for index in range(1, 5):
        data[index, :, 10 * index :] = np.inf
    data[1, :, 40:] = -np.inf
    filled = fill_background(Volume.from_array(data))
    assert np.isfinite(filled.data).all()
    assert len(filled.notes) == 1


def test_frames_and_channels() -> None:
    data = values(2, 3, 20, 20)
    data[1, :, :4] = np.nan
    assert np.isfinite(fill_background(Volume.from_array(data)).data).all()
    data[1, 1, 10, 10] = np.nan
    with pytest.raises(FlomoError, match=r"within the image \(slice 1"):
        fill_background(Volume.from_array(data))


GAPS = {
    "hole": np.s_[2, 18:22, 20:23],
    "one voxel": np.s_[2, 20, 20],
    "row": np.s_[2, 20],
    "diagonal": np.s_[2, range(40), range(40)],
    "slice": np.s_[2],
}


@pytest.mark.parametrize("gap", GAPS.values(), ids=GAPS)
def test_a_gap_within_the_image_is_an_error(gap: Any) -> None:
    data = values()
    data[:, :5] = np.nan  # beside what may be filled
    data[gap] = np.nan
    with pytest.raises(FlomoError, match=r"within the image \(slice 2"):
        fill_background(Volume.from_array(data))


def test_half_an_image_without_the_middle() -> None:
    data = values()
    data[:, :, :26] = np.nan
    with pytest.raises(FlomoError, match="middle of most slices, where the heart is expected"):
        fill_background(Volume.from_array(data))
    data = values()
    data[:, :, :19] = np.nan
    assert np.isfinite(fill_background(Volume.from_array(data)).data).all()


def test_too_few_voxels_with_a_value() -> None:
    data = values()
    data[:, 4:] = np.nan
    data[:, :, 30:] = np.nan
    with pytest.raises(FlomoError, match="less than a tenth"):
        fill_background(Volume.from_array(data))
    with pytest.raises(FlomoError, match="less than a tenth"):
        fill_background(Volume.from_array(data * np.nan))


def test_whole_images_are_not_copied() -> None:
    for data in (values(), np.zeros((3, 4, 5), np.int16)):
        volume = Volume.from_array(data)
        assert fill_background(volume) is volume


def test_fill_is_optional(tmp_path: Path) -> None:
    """Labels are read without, and keep their error."""
    data = values()
    data[:, :5] = np.nan
    path = tmp_path / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(data.T, np.diag([1.4, 1.4, 8, 1])), path)
    assert np.isfinite(read(path, fill=True).data).all()
    with pytest.raises(FlomoError, match="1100 of 8800 voxels that are not finite"):
        read(path)
