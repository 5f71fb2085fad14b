"""What nibabel and ITK read without a word: odd qforms, five axes, pairs, pipes, odd ends."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Study, Volume, files_of, read, write

FIELD = Path(__file__).parents[1] / "fieldtests"
AFFINE = np.eye(4)
AFFINE[:3, :3] = Rotation.from_euler("xyz", [0.3, -0.2, 3.1]).as_matrix() @ np.diag([1.3, 1.4, 8.7])
AFFINE[:3, 3] = (-17.3, 4.1, 99.9)
DATA = np.arange(60, dtype=np.int16).reshape(5, 4, 3)


def image_of(data: np.ndarray = DATA, kind: type = nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    image = kind(data, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    return image


def check(volume: Volume, data: np.ndarray = DATA) -> None:
    np.testing.assert_array_equal(volume.data, data.T)
    np.testing.assert_allclose(volume.geometry.affine_ras(), AFFINE, atol=1e-4)


# The qform


def with_qfac(path: Path, factor: float) -> Path:
    """Write an image that has only a qform, with this handedness."""
    image = image_of()
    image.set_sform(None, 0)
    content = bytearray(image.to_bytes())
    content[76:80] = np.array(factor, "<f4").tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("factor", [0.0, np.nan, 0.5, 1.0])
def test_any_qfac_that_is_not_negative_is_one(factor: float, tmp_path: Path) -> None:
    volume = read(with_qfac(tmp_path / "image.nii", factor))
    check(volume)
    assert volume.notes == ()
    write(volume, tmp_path / "copy.nii")
    np.testing.assert_allclose(nibabel.load(tmp_path / "copy.nii").affine, AFFINE, atol=1e-4)
    if np.isfinite(factor):
        both = [sitk.ReadImage(str(tmp_path / name)) for name in ("image.nii", "copy.nii")]
        assert both[0].IsSameImageGeometryAs(both[1], 1e-6, 1e-6)


def test_a_negative_qfac_reverses_the_slices(tmp_path: Path) -> None:
    affine = read(with_qfac(tmp_path / "image.nii", -2)).geometry.affine_ras()
    np.testing.assert_allclose(affine[:3, 2], -AFFINE[:3, 2], atol=1e-4)


@pytest.mark.parametrize("parts", [(0.6, 0.8000005, 0), (0, 0, 1.0000006), (0.70711, 0, 0.70711)])
def test_quaternions_that_rounding_made_too_long(parts: tuple, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(DATA, None)
    image.header["qform_code"] = 1
    image.header["pixdim"][1:4] = (1.3, 1.4, 8.7)
    content = bytearray(image.to_bytes())
    content[256:268] = np.array(parts, "<f4").tobytes()
    path = tmp_path / "image.nii"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="w2 should be positive"):
        nibabel.load(path).header.get_qform()
    volume = read(path)
    found = sitk.ReadImage(str(path))
    np.testing.assert_allclose(volume.geometry.direction, found.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(volume.geometry.spacing, (1.3, 1.4, 8.7), rtol=1e-6)
    write(volume, tmp_path / "copy.nii")
    assert read(tmp_path / "copy.nii").geometry == volume.geometry
    content[256:268] = np.array((0.9, 0.9, 0), "<f4").tobytes()
    path.write_bytes(content)
    with pytest.raises(FlomoError, match="qform"):
        read(path)


# Frames on the fifth axis


@pytest.mark.parametrize("slices", [3, 1])
def test_time_on_the_fifth_axis(slices: int, tmp_path: Path) -> None:
    data = np.arange(20 * slices * 6, dtype=np.int16).reshape(5, 4, slices, 1, 6)
    image = image_of(data)
    image.header["pixdim"][4:6] = (1, 0.04)
    path = tmp_path / "cine.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes()))
    cine = read(path)
    assert cine.axes == ("frames", "slices", "rows", "columns")
    assert cine.data.shape == (6, slices, 4, 5)
    np.testing.assert_array_equal(cine.data, data[:, :, :, 0].T)
    assert cine.frame_step == pytest.approx(0.04)
    write(cine, tmp_path / "copy.nii")
    after = nibabel.load(tmp_path / "copy.nii")
    assert after.shape == (5, 4, slices, 6)
    assert after.header.get_zooms()[3] == pytest.approx(0.04)
    np.testing.assert_array_equal(after.affine, nibabel.load(path).affine)


def test_a_vector_of_frames_is_noted(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(3, 4, 5, 2), True)
    sitk.WriteImage(image, str(tmp_path / "cine.nii"))
    cine = read(tmp_path / "cine.nii")
    np.testing.assert_array_equal(cine.data, np.moveaxis(sitk.GetArrayFromImage(image), -1, 0))
    assert cine.notes == (
        "The header calls the values along the fifth axis a vector; they were read as frames.",
    )


def test_displacements_and_colours_are_not_frames(tmp_path: Path) -> None:
    for intent in (1006, 2003):
        image = image_of(np.zeros((5, 4, 3, 1, 3), np.float32))
        image.header["intent_code"] = intent
        (tmp_path / "field.nii").write_bytes(image.to_bytes())
        with pytest.raises(FlomoError, match="vectors, matrices or colours"):
            read(tmp_path / "field.nii")


# Pairs


@pytest.mark.parametrize("suffixes", [(".hdr", ".img"), (".HDR", ".IMG"), (".hdr.gz", ".img.gz")])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_a_pair_is_read_by_either_name(suffixes: tuple, kind: type, tmp_path: Path) -> None:
    image = image_of(kind=kind)
    nibabel.save(image, tmp_path / "plain.img")
    places = [tmp_path / f"heart{suffix}" for suffix in suffixes]
    for place, plain in zip(places, ("plain.hdr", "plain.img"), strict=True):
        content = (tmp_path / plain).read_bytes()
        place.write_bytes(gzip.compress(content) if ".gz" in place.name else content)
    for place in places:
        volume = read(place)
        check(volume)
        assert volume.source == "heart"
    assert files_of(Study(places[0].name), tmp_path) == places
    places[1].unlink()
    with pytest.raises(FlomoError, match=r"put heart\.img beside it"):
        read(places[0])


def test_an_image_without_its_header(tmp_path: Path) -> None:
    nibabel.save(image_of(kind=nibabel.Nifti1Pair), tmp_path / "heart.img")
    (tmp_path / "heart.hdr").unlink()
    with pytest.raises(FlomoError, match=r"same name with \.hdr"):
        read(tmp_path / "heart.img")


def test_analyze_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(DATA, np.eye(4)), tmp_path / "old.img")
    for name in ("old.img", "old.hdr"):
        with pytest.raises(FlomoError, match=r"Analyze 7\.5.*left from right"):
            read(tmp_path / name)


# Names, pipes and odd ends


@pytest.mark.parametrize("name", ["0f3a9c", "heart.nii.gz.part", "heart.gz", "MD5E-s75--0123456"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_the_content_decides_without_a_suffix(name: str, kind: type, tmp_path: Path) -> None:
    content = image_of(kind=kind).to_bytes()
    for form in (content, gzip.compress(content)):
        (tmp_path / name).write_bytes(form)
        check(read(tmp_path / name))


def test_a_compressed_file_without_an_image(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(gzip.compress(b"nothing to see here" * 50))
    with pytest.raises(FlomoError, match="not an image"):
        read(tmp_path / "notes")
    (tmp_path / "notes").write_bytes(b"\x1f\x8b but not gzip at all")
    with pytest.raises(FlomoError, match="not an image"):
        read(tmp_path / "notes")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("name", ["stdin", "heart.nii", "heart.nii.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_pipes_are_read(name: str, packed: bool, tmp_path: Path) -> None:
    content = image_of().to_bytes()
    content = gzip.compress(content) if packed else content
    os.mkfifo(tmp_path / name)
    writer = threading.Thread(target=(tmp_path / name).write_bytes, args=(content,))
    writer.start()
    volume = read(tmp_path / name)
    writer.join(10)
    check(volume)


def test_bytes_after_the_compressed_stream(tmp_path: Path) -> None:
    whole = gzip.compress(image_of().to_bytes())
    path = tmp_path / "image.nii.gz"
    for tail in (bytes(1000), b"garbage", b"\n", b"TRAILER!!!" * 5000):
        path.write_bytes(whole + tail)
        check(read(path))
    content = image_of().to_bytes()
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]) + b"garbage")
    check(read(path))  # several packed parts, as of pigz and bgzip, are one file
    broken = bytearray(whole)
    broken[-6] ^= 1
    for content in (bytes(broken), bytes(broken) + b"garbage", whole[:-30], whole[:-3]):
        path.write_bytes(content)
        with pytest.raises(FlomoError, match="damaged"):
            read(path)


def test_bytes_after_the_voxels(tmp_path: Path) -> None:
    (tmp_path / "image.nii").write_bytes(image_of().to_bytes() + b"garbage" * 100)
    check(read(tmp_path / "image.nii"))


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("nifti_qfac_zero/heart.nii.gz", 0),
        ("nifti_pair/heart.hdr", 0),
        ("nifti_pair/heart.img", 0),
        ("gzip_nifti_without_suffix/MD5E-s75000--0123456789abcdef", 0),
        ("nifti_sform_unscaled/heart.nii.gz", 1),
        ("nifti_pixdim_bad_sform_good/zero.nii.gz", 1),
        ("nifti_pixdim_bad_sform_good/nan.nii.gz", 1),
        ("nifti_pixdim_bad_sform_good/negative.nii.gz", 1),
    ],
)
def test_field_cases_are_the_original(name: str, notes: int, tmp_path: Path) -> None:
    clean, volume = read(FIELD / "_clean/heart.nii.gz"), read(FIELD / name)
    np.testing.assert_array_equal(volume.data, clean.data)
    # An sform that was not scaled has lost the position, too.
    assert volume.geometry.same_space(clean.geometry, 1e-3) == ("unscaled" not in name)
    assert len(volume.notes) == notes
    labels = tmp_path / "labels.nii.gz"
    write(volume.with_data(np.zeros(volume.data.shape, np.uint8)), labels)
    steps = np.linalg.norm(nibabel.load(labels).affine[:3, :3], axis=0)
    np.testing.assert_allclose(steps, clean.geometry.spacing, rtol=1e-6)
    found = sitk.ReadImage(str(labels)).GetSpacing()
    np.testing.assert_allclose(found, clean.geometry.spacing, rtol=1e-6)
