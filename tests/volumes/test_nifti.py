"""NIfTI: headers as they come in the wild, and labels on the grid of their image."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, read, write

TURNED = np.eye(4)
TURNED[:3, :3] = Rotation.from_euler("xyz", [0.3, -0.2, 3.1]).as_matrix() @ np.diag([1.3, 1.4, 8.7])
TURNED[:3, 3] = (-17.3, 4.1, 99.9)
SHIFTED = np.diag([1.3, 1.4, 8.7, 1.0])
SHIFTED[:3, 3] = (5, 6, 7)


def save(
    path: Path,
    data: np.ndarray,
    affine: np.ndarray = TURNED,
    *,
    units: tuple[str, str] = ("mm", "sec"),
    **fields: object,
) -> Path:
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units(*units)
    for name, value in fields.items():
        if name == "pixdim4":
            image.header["pixdim"][4] = value
        else:
            image.header[name] = value
    path.write_bytes(image.to_bytes())
    return path


@pytest.mark.parametrize("q_code", [0, 1, 2])
@pytest.mark.parametrize("s_code", [0, 1, 2, 4])
def test_labels_lie_on_their_image_in_every_tool(q_code: int, s_code: int, tmp_path: Path) -> None:
    """Both forms are repeated bit for bit, even where they contradict each other."""
    source = nibabel.Nifti1Image(np.zeros((5, 4, 3), np.int16), TURNED)
    source.header.set_qform(SHIFTED, q_code)
    source.header.set_sform(TURNED, s_code)
    path, labels = tmp_path / "image.nii", tmp_path / "labels.nii.gz"
    path.write_bytes(source.to_bytes())
    volume = read(path)
    write(volume.with_data(np.ones((3, 4, 5), np.uint8)), labels)

    before, after = nibabel.load(path), nibabel.load(labels)
    assert after.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(after.affine, before.affine)
    for form in ("get_qform", "get_sform"):
        matrix, code = getattr(before, form)(coded=True)
        matrix_after, code_after = getattr(after, form)(coded=True)
        assert code_after == code
        np.testing.assert_array_equal(matrix_after, matrix)
    image, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(labels))
    assert image.IsSameImageGeometryAs(mask, 0, 0)
    # Our own choice between contradicting forms is ITK's.
    direction = np.array(image.GetDirection())
    np.testing.assert_allclose(volume.geometry.direction, direction, rtol=0, atol=1e-6)
    np.testing.assert_allclose(volume.geometry.origin, image.GetOrigin(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(volume.geometry.spacing, image.GetSpacing(), rtol=1e-6)


def test_the_old_header_does_not_follow_data_to_another_grid(tmp_path: Path) -> None:
    volume = read(save(tmp_path / "image.nii", np.zeros((5, 4, 3), np.int16)))
    moved = Volume(volume.data, Geometry((1, 2, 3), (4, 5, 6)), extra=volume.extra)
    write(moved, tmp_path / "moved.nii")
    assert read(tmp_path / "moved.nii").geometry == moved.geometry


def test_only_numbers_are_copied_from_the_header(tmp_path: Path) -> None:
    path = save(
        tmp_path / "image.nii",
        np.zeros((5, 4, 3), np.int16),
        descrip=b"Doe Jane 1970",
        aux_file=b"secret",
        intent_name=b"private",
    )
    write(read(path), tmp_path / "copy.nii")
    content = (tmp_path / "copy.nii").read_bytes()
    assert not any(word in content for word in (b"Doe", b"secret", b"private"))


def test_a_cine_keeps_its_frame_step(tmp_path: Path) -> None:
    data = np.arange(120, dtype=np.int16).reshape(5, 4, 3, 2)  # columns, rows, slices, frames
    path = save(tmp_path / "cine.nii", data, pixdim4=0.0333)
    cine = read(path)
    assert cine.axes == ("frames", "slices", "rows", "columns")
    assert cine.data.shape == (2, 3, 4, 5)
    assert cine.data[1, 2, 3, 4] == data[4, 3, 2, 1]
    assert cine.frame_step == pytest.approx(0.0333)
    write(cine.with_data(cine.data.astype(np.uint8)), tmp_path / "labels.nii.gz")
    after = nibabel.load(tmp_path / "labels.nii.gz")
    assert after.header.get_zooms() == nibabel.load(path).header.get_zooms()
    # One frame of it is a 3-D file on the same grid.
    write(cine.frame(1), tmp_path / "frame.nii.gz")
    assert nibabel.load(tmp_path / "frame.nii.gz").shape == (5, 4, 3)
    assert read(tmp_path / "frame.nii.gz").geometry == cine.geometry


@pytest.mark.parametrize(("unit", "step"), [("msec", 33.3), ("usec", 33300), ("sec", 0.0333)])
def test_units_of_time(unit: str, step: float, tmp_path: Path) -> None:
    data = np.zeros((5, 4, 3, 2), np.int16)
    path = save(tmp_path / "cine.nii", data, units=("mm", unit), pixdim4=step)
    assert read(path).frame_step == pytest.approx(0.0333)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3), ("mm", 1)])
def test_units_of_space(unit: str, factor: float, tmp_path: Path) -> None:
    affine = TURNED.copy()
    affine[:3] *= factor
    data = np.zeros((5, 4, 3), np.int16)
    path = save(tmp_path / "image.nii", data, affine, units=(unit, "sec"))
    volume = read(path)
    assert volume.geometry.same_space(Geometry.from_affine_ras(TURNED), 1e-5)
    write(volume, tmp_path / "copy.nii")
    after = nibabel.load(tmp_path / "copy.nii").affine
    np.testing.assert_array_equal(after, nibabel.load(path).affine)


def test_stored_numbers_are_scaled(tmp_path: Path) -> None:
    data = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    path = save(tmp_path / "scaled.nii", data)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([0.5, -10], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(content)
    volume = read(path)
    assert volume.data.dtype == np.float32
    np.testing.assert_array_equal(volume.data, data.T * 0.5 - 10)
    np.testing.assert_array_equal(volume.data, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    write(volume, tmp_path / "copy.nii")
    np.testing.assert_array_equal(read(tmp_path / "copy.nii").data, volume.data)
    for slope in (0.0, np.nan):  # both mean: no scaling
        content[112:116] = np.array(slope, "<f4").tobytes()
        path.write_bytes(content)
        np.testing.assert_array_equal(read(path).data, data.T)


def test_big_endian_nifti2_and_wrong_names(tmp_path: Path) -> None:
    data = np.arange(60, dtype=">i2").reshape(5, 4, 3)
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        header = kind.header_class(endianness=">")
        header.set_data_dtype(data.dtype)
        image = kind(data, TURNED, header)
        packed = gzip.compress(image.to_bytes())
        path = tmp_path / "image.nii"  # compressed, though its name does not say so
        path.write_bytes(packed)
        volume = read(path)
        assert volume.data.dtype == np.dtype("=i2")
        np.testing.assert_array_equal(volume.data, data.T)
        np.testing.assert_allclose(volume.geometry.affine_ras(), image.affine, atol=1e-5)


def test_ranks(tmp_path: Path) -> None:
    flat = read(save(tmp_path / "flat.nii", np.zeros((5, 4), np.int16)))
    assert flat.data.shape == (1, 4, 5)
    assert read(save(tmp_path / "a.nii", np.zeros((5, 4, 3, 1), np.int16))).n_frames == 1
    assert read(save(tmp_path / "a.nii", np.zeros((5, 4, 3, 2, 1), np.int16))).n_frames == 2
    for shape in ((5,), (5, 4, 3, 2, 2), (5, 4, 3, 2, 2, 2)):
        with pytest.raises(FlomoError, match=f"{len(shape)}-dimensional"):
            read(save(tmp_path / "b.nii", np.zeros(shape, np.int16)))


@pytest.mark.parametrize("frames", [None, 2])
def test_probabilities_come_back_with_their_classes(frames: int | None, tmp_path: Path) -> None:
    axes = ("classes", *(["frames"] if frames else []), "slices", "rows", "columns")
    shape = (4, *([frames] if frames else []), 3, 4, 5)
    data = np.random.default_rng(0).random(shape, np.float32)
    write(Volume(data, Geometry((1, 2, 3)), axes), tmp_path / "p.nii.gz")
    back = read(tmp_path / "p.nii.gz")
    assert back.axes == axes
    np.testing.assert_array_equal(back.data, data)
    assert nibabel.load(tmp_path / "p.nii.gz").shape == shape[::-1]


def test_a_valid_qform_wins_over_a_sheared_sform(tmp_path: Path) -> None:
    sheared = SHIFTED.copy()
    sheared[0, 1] = 0.5
    image = nibabel.Nifti1Image(np.zeros((5, 4, 3), np.int16), sheared)
    image.header.set_qform(SHIFTED, 1)
    image.header.set_sform(sheared, 1)
    (tmp_path / "image.nii").write_bytes(image.to_bytes())
    assert read(tmp_path / "image.nii").geometry.same_space(Geometry.from_affine_ras(SHIFTED), 1e-6)
    image.header.set_qform(None, 0)
    (tmp_path / "image.nii").write_bytes(image.to_bytes())
    with pytest.raises(FlomoError, match="right angles"):
        read(tmp_path / "image.nii")


def test_compressed_bytes_are_reproducible(tmp_path: Path) -> None:
    volume = Volume(np.zeros((3, 4, 5), np.uint8), Geometry((1, 2, 3)))
    for suffix in (".nii.gz", ".nrrd"):
        write(volume, tmp_path / f"one{suffix}")
        write(volume, tmp_path / f"two{suffix}")
        one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two


def test_a_photo_stays_without_millimetres(tmp_path: Path) -> None:
    photo = Volume.from_array(np.zeros((4, 5), np.uint8))
    for suffix in (".nii.gz", ".nrrd"):
        write(photo, tmp_path / f"mask{suffix}")
        assert read(tmp_path / f"mask{suffix}").geometry == Geometry.unknown()
