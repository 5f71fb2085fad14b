"""Volume: names of axes, frames, and data put on the same grid."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume


def test_spacing_of_an_array_is_in_the_order_of_the_array() -> None:
    volume = Volume.from_array(np.zeros((4, 3, 5, 6)), spacing=(8, 1, 2))
    assert volume.axes == ("frames", "slices", "rows", "columns")
    assert volume.geometry.spacing == (2, 1, 8)  # ITK order: columns, rows, slices
    assert volume.in_plane_spacing == (1, 2)  # rows, columns
    assert (volume.n_frames, volume.n_slices, volume.spatial_shape) == (4, 3, (3, 5, 6))


def test_a_single_image_becomes_one_slice() -> None:
    volume = Volume.from_array(np.zeros((5, 6), bool))
    assert volume.data.shape == (1, 5, 6)
    assert volume.data.dtype == np.uint8
    assert not volume.geometry.spacing_known
    photo = Volume.from_array(np.zeros((5, 6, 3)), axes=("rows", "columns", "channels"))
    assert photo.data.shape == (1, 5, 6, 3)
    cine = Volume.from_array(np.zeros((9, 5, 6)), (1, 2), ("frames", "rows", "columns"))
    assert cine.data.shape == (9, 1, 5, 6)
    assert cine.in_plane_spacing == (1, 2)


def test_a_frame_has_no_frames_axis_and_keeps_the_grid() -> None:
    volume = Volume.from_array(np.arange(24).reshape(2, 1, 3, 4), (8, 1, 2), frame_step=0.03)
    frame = volume.frame(1)
    assert frame.axes == ("slices", "rows", "columns")
    assert frame.geometry == volume.geometry
    assert frame.frame_step is None
    np.testing.assert_array_equal(frame.data, volume.data[1])
    assert frame.frame(0) is frame
    for index in (2, -1):
        with pytest.raises(FlomoError, match=f"no frame {index}"):
            volume.frame(index)


def test_other_values_on_the_same_grid() -> None:
    cine = Volume.from_array(np.zeros((2, 3, 4, 5)), (8, 1, 2), frame_step=0.03, modality="MR")
    labels = cine.with_data(np.ones((2, 3, 4, 5), np.uint8))
    assert labels.frame_step == 0.03
    assert labels.modality == "MR"
    one = cine.with_data(np.ones((3, 4, 5)))
    assert (one.axes, one.frame_step) == (("slices", "rows", "columns"), None)
    both = cine.with_data(
        np.ones((7, 2, 3, 4, 5)), axes=("classes", "frames", "slices", "rows", "columns")
    )
    assert both.length("classes") == 7
    photo = Volume.from_array(np.zeros((4, 5, 3)), axes=("rows", "columns", "channels"))
    assert photo.with_data(np.zeros((1, 4, 5))).axes == ("slices", "rows", "columns")
    for shape in ((2, 3, 5, 4), (3, 3, 4, 5), (4, 5)):
        with pytest.raises(FlomoError):
            cine.with_data(np.ones(shape))


@pytest.mark.parametrize(
    ("data", "axes", "words"),
    [
        (np.zeros((2, 0, 3)), None, "0 rows"),
        (np.zeros(3), None, "1 dimensions"),
        (np.zeros((1, 1, 1, 1, 1)), None, "5 dimensions"),
        (np.zeros((2, 2, 2), complex), None, "complex128"),
        (np.array([[["a"]]]), None, "not real numbers"),
        (np.zeros((2, 2, 2)), ("rows", "slices", "columns"), "not valid"),
        (np.zeros((2, 2, 2)), ("time", "rows", "columns"), "not valid"),
        (np.zeros((2, 2, 2)), ("slices", "rows"), "not valid"),
        (np.zeros((2, 2)), ("slices", "rows", "columns"), "one name for each"),
    ],
)
def test_invalid_arrays_are_refused(data: np.ndarray, axes: tuple, words: str) -> None:
    with pytest.raises(FlomoError, match=words):
        Volume.from_array(data, axes=axes)


def test_spacing_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(FlomoError, match="three numbers"):
        Volume.from_array(np.zeros((2, 2, 2)), spacing=(1, 1, 1, 1))
    with pytest.raises(FlomoError, match="either spacing or geometry"):
        Volume.from_array(np.zeros((2, 2)), (1, 1, 1), geometry=Geometry.unknown())
