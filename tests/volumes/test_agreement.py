"""Written files mean the same to ITK, to nibabel and to us: the same voxel at the same millimetre.

A single marked voxel is found again in each tool's own array and turned into LPS mm by each tool's
own geometry, so a flipped, transposed or shifted axis anywhere moves it and fails the test.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_flomo.volumes import Geometry, Volume, read, write

SHAPE = (3, 4, 5)  # slices, rows, columns
MARK = (2, 1, 3)
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")

AXIS_ORDERS = [
    np.diag(signs)[:, order]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def marked(geometry: Geometry, frames: int | None = None) -> Volume:
    data = np.zeros(SHAPE, np.uint8)
    data[MARK] = 3
    if frames is None:
        return Volume(data, geometry)
    axes = ("frames", "slices", "rows", "columns")
    return Volume(np.stack([data * (frame + 1) for frame in range(frames)]), geometry, axes)


def by_itk(path: Path) -> np.ndarray:
    image = sitk.ReadImage(str(path))
    slice_, row, column = (int(index) for index in np.argwhere(sitk.GetArrayFromImage(image))[0])
    return np.array(image.TransformIndexToPhysicalPoint((column, row, slice_)))


def by_nibabel(path: Path) -> np.ndarray:
    image = nibabel.load(path)
    index = np.argwhere(np.asarray(image.dataobj))[0]
    ras = nibabel.affines.apply_affine(image.affine, index)
    return ras * (-1, -1, 1)


def check(geometry: Geometry, path: Path, tolerance: float) -> None:
    slice_, row, column = MARK
    truth = geometry.positions((column, row, slice_))
    volume = marked(geometry)
    write(volume, path)
    np.testing.assert_allclose(by_itk(path), truth, rtol=0, atol=tolerance)
    if path.suffix in (".nii", ".gz"):
        np.testing.assert_allclose(by_nibabel(path), truth, rtol=0, atol=tolerance)
    back = read(path, slice_axis="k")  # of any grid, also one that would be arranged otherwise
    assert back.data.dtype == np.uint8
    np.testing.assert_array_equal(back.data, volume.data)
    np.testing.assert_allclose(
        back.geometry.positions((column, row, slice_)), truth, rtol=0, atol=tolerance
    )
    # A second round trip changes nothing any more, but the last bit of text headers' lengths.
    write(back, path)
    again = read(path, slice_axis="k")
    np.testing.assert_allclose(
        again.geometry.affine_lps(),
        back.geometry.affine_lps(),
        rtol=0 if ".nii" in path.name else 1e-15,
        atol=0,
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_grid(suffix: str, geometries: st.SearchStrategy[Geometry], tmp_path: Path) -> None:
    @settings(max_examples=25, deadline=None)
    @given(geometries)
    def any_grid(geometry: Geometry) -> None:
        # float32 holds positions up to 2000 mm and steps of 100 mm to about 0.0001 mm.
        check(geometry, tmp_path / f"mark{suffix}", 5e-4 if ".nii" in suffix else 1e-9)

    any_grid()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_text_headers_keep_every_digit(suffix: str, tmp_path: Path) -> None:
    geometry = Geometry((1 / 3, 0.1, 10 / 7), (1e-9, -1 / 3, 123.456789012345678))
    write(marked(geometry), tmp_path / f"mark{suffix}")
    assert read(tmp_path / f"mark{suffix}").geometry == geometry


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_frames_stay_frames(suffix: str, tmp_path: Path) -> None:
    geometry = Geometry((0.7, 1.3, 9.6), (1, 2, 3), tuple(AXIS_ORDERS[13].ravel()))
    cine = marked(geometry, frames=2)
    path = tmp_path / f"cine{suffix}"
    write(Volume(cine.data, cine.geometry, cine.axes, frame_step=0.0425), path)
    back = read(path)
    assert back.axes == ("frames", "slices", "rows", "columns")
    np.testing.assert_array_equal(back.data, cine.data)
    assert back.frame_step == pytest.approx(0.0425, rel=1e-6)
    assert back.geometry.same_space(geometry, 1e-6)
    if suffix != ".nrrd":  # ITK reads the frames of an NRRD as components
        image = sitk.ReadImage(str(path))
        assert image.GetSize() == (5, 4, 3, 2)
        assert image.GetPixel(3, 1, 2, 1) == 6
        assert image.GetSpacing()[3] == pytest.approx(0.0425)
    else:
        image = sitk.ReadImage(str(path))
        assert image.GetSize() == (5, 4, 3)
        assert image.GetPixel(3, 1, 2) == (3, 6)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "f2"]
)
def test_types_are_kept(suffix: str, dtype: str, tmp_path: Path) -> None:
    data = np.arange(60).reshape(SHAPE).astype(dtype)
    if data.dtype.kind in "iu":
        data[0, 0, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    path = tmp_path / f"type{suffix}"
    write(Volume(data, Geometry((1, 1, 1))), path)
    back = read(path).data
    np.testing.assert_array_equal(back, data)
    assert back.dtype == ("f4" if dtype == "f2" else dtype)  # no format has 16-bit floats


def test_itk_files_are_read_as_by_itk(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    geometry = Geometry((0.7, 1.3, 9.6), (-5, 6, 7), tuple(AXIS_ORDERS[29].ravel()))
    image = sitk.GetImageFromArray(data)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    for suffix in (*SUFFIXES, ".nhdr", ".mhd"):
        path = tmp_path / f"itk{suffix}"
        sitk.WriteImage(image, str(path), useCompression=True)
        volume = read(path)
        np.testing.assert_array_equal(volume.data, data)
        assert volume.geometry.same_space(geometry, 1e-6), suffix
