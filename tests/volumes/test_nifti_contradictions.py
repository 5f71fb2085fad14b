"""NIfTI headers whose sform and pixdim tell different spacings: one is taken, and it is said."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, read, write

AXES = Rotation.from_euler("xyz", [0.4, -0.3, 0.2]).as_matrix()
STEPS = (1.37, 1.45, 9.0)
ORIGIN = (-31.0, 12.5, 7.0)


def save(
    path: Path,
    columns: tuple[float, ...],
    pixdim: tuple[float, ...],
    shape: tuple[int, ...] = (12, 10, 4),
    *,
    codes: tuple[int, int] = (0, 2),
    unit: str = "mm",
) -> Path:
    """Write a file with an sform of these steps, this pixdim, and codes of qform and sform."""
    affine = np.eye(4)
    affine[:3, :3] = AXES * np.array(columns)
    affine[:3, 3] = ORIGIN
    good = np.eye(4)
    good[:3, :3] = AXES * np.array(STEPS)
    good[:3, 3] = ORIGIN
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units(unit, "sec")
    image.header.set_qform(good, codes[0])
    image.header.set_sform(affine, codes[1])
    content = bytearray(image.to_bytes())
    content[80:92] = np.array(pixdim, "<f4").tobytes()
    content[252:256] = np.array(codes, "<i2").tobytes()
    path.write_bytes(content)
    return path


def check_written(volume: Volume, steps: tuple[float, ...], folder: Path) -> None:
    """Demand that two other libraries read one grid out of labels on a volume: this one."""
    path = folder / "labels.nii.gz"
    write(volume.with_data(np.ones(volume.data.shape, np.uint8)), path)
    after = nibabel.load(path)
    image = sitk.ReadImage(str(path))
    expected = np.eye(4)
    expected[:3, :3] = AXES * np.array(steps)
    expected[:3, 3] = ORIGIN
    np.testing.assert_allclose(volume.geometry.affine_ras(), expected, atol=1e-5)
    np.testing.assert_allclose(after.affine, expected, atol=1e-4)
    np.testing.assert_allclose(after.header.get_qform(), expected, atol=1e-4)
    np.testing.assert_allclose(after.header.get_zooms()[:3], steps, rtol=1e-5)
    np.testing.assert_allclose(image.GetSpacing()[:3], steps, rtol=1e-5)
    flip = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(image.GetOrigin()[:3], flip @ ORIGIN, atol=1e-4)
    size = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(size, size)[:3, :3]
    np.testing.assert_allclose(direction, flip @ AXES, atol=1e-5)
    assert read(path).notes == ()


@pytest.mark.parametrize(
    ("columns", "pixdim", "right", "words"),
    [
        ((1, 1, 1), STEPS, STEPS, "pixdim was used.*not scaled"),
        ((1, 1, 9.0), STEPS, STEPS, "pixdim was used.*not scaled"),
        ((1.37, 1.45, 1), STEPS, STEPS, "pixdim was used.*not scaled"),
        (STEPS, (1, 1, 1), STEPS, "sform was used.*not set"),
        (STEPS, (1.37, 1.45, 1), STEPS, "sform was used.*not set"),
        (STEPS, (0, 0, 0), STEPS, "sform was used.*not a valid spacing"),
        (STEPS, (1.37, 1.45, 0), STEPS, "sform was used.*not a valid spacing"),
        (STEPS, (np.nan, np.nan, np.nan), STEPS, "sform was used.*not a valid spacing"),
        (STEPS, (1.37, np.inf, 9), STEPS, "sform was used.*not a valid spacing"),
        (STEPS, (-1.37, -1.45, -9.0), STEPS, "sform was used.*negative"),
        (STEPS, (1.37, 1.45, 9000), STEPS, "sform was used.*not a valid spacing"),
        ((1.37e-3, 1.45e-3, 9e-3), STEPS, STEPS, "pixdim was used"),
        ((1, 1, 1), (-1.37, -1.45, 9.0), STEPS, "pixdim was used"),
        # The same steps in another order: 12 x 10 x 4 voxels are 16 x 15 x 36 mm, or 108 mm long.
        (STEPS, (9.0, 1.45, 1.37), STEPS, "sform was used.*longest side"),
        ((9.0, 1.45, 1.37), STEPS, STEPS, "pixdim was used"),
        # Two spacings that may both be: ITK's choice.
        (STEPS, (0.7, 0.7, 9.0), (0.7, 0.7, 9.0), "pixdim was used"),
        (STEPS, (1.37, 1.45, 9.5), (1.37, 1.45, 9.5), "pixdim was used"),
    ],
)
def test_one_spacing_is_chosen_and_written(
    columns: tuple, pixdim: tuple, right: tuple, words: str, tmp_path: Path
) -> None:
    volume = read(save(tmp_path / "image.nii", columns, pixdim))
    assert len(volume.notes) == 1
    with pytest.raises(FlomoError, match=words):
        raise FlomoError(volume.notes[0])
    check_written(volume, right, tmp_path)


def test_a_cine_follows_the_same_rules(tmp_path: Path) -> None:
    path = save(tmp_path / "cine.nii", (1, 1, 1), STEPS, (12, 10, 4, 3))
    volume = read(path)
    assert volume.data.shape == (3, 4, 10, 12)
    assert len(volume.notes) == 1
    check_written(volume, STEPS, tmp_path)


def test_units_of_metres(tmp_path: Path) -> None:
    metres = tuple(step / 1000 for step in STEPS)
    volume = read(save(tmp_path / "image.nii", (1, 1, 1), metres, unit="meter"))
    np.testing.assert_allclose(volume.geometry.spacing, STEPS, rtol=1e-5)


@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (1, 0), (0, 1)])
def test_steps_that_differ_by_rounding_are_one(codes: tuple[int, int], tmp_path: Path) -> None:
    path = save(tmp_path / "image.nii", (1.3698, 1.4502, 9.0), STEPS, codes=codes)
    volume = read(path)
    assert volume.notes == ()
    write(volume, tmp_path / "copy.nii")
    before, after = nibabel.load(path).header, nibabel.load(tmp_path / "copy.nii").header
    for name in ("srow_x", "srow_y", "srow_z", "pixdim", "quatern_b", "qform_code", "sform_code"):
        np.testing.assert_array_equal(before[name], after[name])


def test_a_valid_qform_with_an_sform_that_was_not_scaled(tmp_path: Path) -> None:
    """Its code comes first, but nibabel would read the sform out of a copy of this header."""
    volume = read(save(tmp_path / "image.nii", (1, 1, 1), STEPS, codes=(1, 2)))
    assert "the qform was used" in volume.notes[0]
    check_written(volume, STEPS, tmp_path)


@pytest.mark.parametrize("codes", [(1, 0), (0, 0)])
def test_negative_steps_without_an_sform(codes: tuple[int, int], tmp_path: Path) -> None:
    volume = read(save(tmp_path / "image.nii", STEPS, (1.37, -1.45, 9.0), codes=codes))
    np.testing.assert_allclose(volume.geometry.spacing, STEPS, rtol=1e-6)
    assert "are negative" in volume.notes[0]
    write(volume, tmp_path / "copy.nii")
    assert read(tmp_path / "copy.nii").notes == ()
    np.testing.assert_allclose(
        sitk.ReadImage(str(tmp_path / "copy.nii")).GetSpacing(), STEPS, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("columns", "pixdim"),
    [
        ((1, 1, 1), (0, 0, 0)),
        ((1, 1, 1), (1.37, 1.45, 0)),
        ((1, 1, 1), (1.37, np.nan, 9)),
        ((1, 1, 9.0), (1.37, 1.45, 1)),
    ],
)
def test_undecidable_headers_are_refused(columns: tuple, pixdim: tuple, tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="write the true spacing into it"):
        read(save(tmp_path / "image.nii", columns, pixdim))
