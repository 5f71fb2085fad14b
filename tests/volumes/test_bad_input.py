"""Whatever is opened: an image, or one clear sentence. Nothing half-written is left behind."""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, limits, read, write

VOLUME = Volume(
    np.random.default_rng(0).integers(0, 999, (3, 20, 30)).astype(np.int16), Geometry((1, 2, 3))
)
MEDICAL = (".nii", ".nii.gz", ".nrrd", ".mha")


def refused(path: Path) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(FlomoError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    "name", ["gone.nii.gz", "gone.nrrd", "gone.mha", "gone.png", "gone", "g.dcm"]
)
def test_missing_file(name: str, tmp_path: Path) -> None:
    assert "There is no file" in refused(tmp_path / name)
    assert "There is no file" in refused(tmp_path / "no folder" / name)


@pytest.mark.parametrize("suffix", [*MEDICAL, ".png", ".tif", ".jpg", ".dcm", ".mhd", ".nhdr"])
@pytest.mark.parametrize("content", [b"", b"This is a letter and no image. " * 40, bytes(2000)])
def test_not_an_image(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"letter{suffix}"
    path.write_bytes(content)
    assert "letter" in refused(path)


def test_unknown_suffix(tmp_path: Path) -> None:
    (tmp_path / "report.docx").write_bytes(b"PK" + bytes(500))
    assert "supported are" in refused(tmp_path / "report.docx")
    for suffix in MEDICAL:  # the content decides where the name says nothing
        write(VOLUME, tmp_path / f"image{suffix}")
    Path(tmp_path / "image.nii").rename(tmp_path / "image.1")
    Path(tmp_path / "image.nrrd").rename(tmp_path / "image.2")
    for name in ("image.1", "image.2"):
        np.testing.assert_array_equal(read(tmp_path / name).data, VOLUME.data)
        assert read(tmp_path / name).source == name


@pytest.mark.parametrize("suffix", MEDICAL)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95, 0.9999])
def test_cut_file(part: float, suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    path = tmp_path / f"cut{suffix}"
    write(VOLUME, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert "cut" in refused(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_cut_photo(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    assert "damaged or truncated" in refused(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_flipped_bit_is_found_by_the_checksum(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bit{suffix}"
    write(VOLUME, path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # the checksum itself: the data before it unpack without complaint
    path.write_bytes(content)
    assert "damaged" in refused(path)


def nifti(path: Path, shape: tuple[int, ...] = (5, 4, 3), **fields: object) -> Path:
    """Write a NIfTI file with header fields that no library would write."""
    dtype = fields.pop("dtype", np.int16)
    image = nibabel.Nifti1Image(np.zeros(shape, dtype), np.diag([1, 2, 3, 1]))
    content = bytearray(image.to_bytes())
    offsets = {
        "dim": (40, "<8h"),
        "pixdim": (76, "<8f"),
        "srow_x": (280, "<4f"),
        "codes": (252, "<2h"),
    }
    for name, values in fields.items():
        start, layout = offsets[name]
        content[start : start + struct.calcsize(layout)] = struct.pack(layout, *values)  # type: ignore[misc]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dtype": np.complex64}, "complex numbers"),
        ({"dim": (3, 5, 0, 3, 1, 1, 1, 1)}, "empty"),
        ({"dim": (3, 5, -4, 3, 1, 1, 1, 1)}, "empty"),
        ({"dim": (0, 5, 4, 3, 1, 1, 1, 1)}, "header is invalid"),
        ({"dim": (3, 5, 4, 30, 1, 1, 1, 1)}, "ends too early"),
        ({"pixdim": (1, 1, 0, 3, 0, 0, 0, 0), "codes": (0, 0)}, "spacing between rows is 0 mm"),
        ({"pixdim": (1, 1, 2, 4000, 0, 0, 0, 0), "codes": (0, 0)}, "between slices is 4000 mm"),
        ({"pixdim": (1, 1, 2, float("nan"), 0, 0, 0, 0), "codes": (0, 0)}, "finite"),
        ({"pixdim": (1, 1, 0, 3, 0, 0, 0, 0), "codes": (1, 0)}, "spacing between rows is 0 mm"),
        ({"srow_x": (0, 0, 0, 0)}, "spacing between columns is 0 mm|right angles"),
        ({"srow_x": (float("nan"), 0, 0, 0)}, "finite"),
        ({"srow_x": (1, 0, 0, float("inf"))}, "finite"),
    ],
)
def test_impossible_nifti_headers(fields: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match=words):
        read(nifti(tmp_path / "image.nii", **fields))


def test_vectors_and_complex_numbers_in_metaimages(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5, 2), np.int16), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "vectors.mha"))
    assert "vectors or complex" in refused(tmp_path / "vectors.mha")
    image = sitk.JoinSeries([sitk.JoinSeries([sitk.Image(3, 4, sitk.sitkUInt8)] * 3)] * 2)
    sitk.WriteImage(sitk.JoinSeries([image] * 2), str(tmp_path / "rank5.mha"))
    assert "5-dimensional" in refused(tmp_path / "rank5.mha")


def test_colour_nifti(tmp_path: Path) -> None:
    dtype = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    path = tmp_path / "colour.nii"
    path.write_bytes(nibabel.Nifti1Image(np.zeros((5, 4, 3), dtype), np.eye(4)).to_bytes())
    assert "colours" in refused(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", MEDICAL)
def test_nan_values_are_counted(suffix: str, value: float, tmp_path: Path) -> None:
    data = np.zeros((3, 4, 5), np.float32)
    data[1, 2, :2] = value
    path = tmp_path / f"image{suffix}"
    write(Volume(data, Geometry((1, 1, 1))), path)
    assert "has 2 of 60 voxels that are not finite" in refused(path)


def test_huge_images_are_refused_before_they_are_allocated(tmp_path: Path) -> None:
    n = 10_000  # 10^12 voxels
    nii = nibabel.Nifti1Header()
    nii.set_data_shape((n, n, n))
    nii["magic"], nii["vox_offset"] = b"n+1", 352
    (tmp_path / "huge.nii").write_bytes(nii.binaryblock + bytes(1000))
    (tmp_path / "huge.nii.gz").write_bytes(gzip.compress(nii.binaryblock + bytes(10**6)))
    for encoding in ("raw", "gzip"):
        text = f"NRRD0004\ntype: short\ndimension: 3\nsizes: {n} {n} {n}\nencoding: {encoding}\n\n"
        (tmp_path / f"{encoding}.nrrd").write_bytes(text.encode() + bytes(1000))
    (tmp_path / "huge.mha").write_text(
        f"ObjectType = Image\nNDims = 3\nDimSize = {n} {n} {n}\nElementType = MET_SHORT\n"
        "ElementDataFile = LOCAL\n"
    )
    for name in ("huge.nii", "huge.nii.gz", "raw.nrrd", "gzip.nrrd", "huge.mha"):
        assert "10000 x 10000 x 10000 voxels" in refused(tmp_path / name)


def test_a_compressed_file_too_short_for_its_header(tmp_path: Path) -> None:
    """Refused although it would fit in memory: deflate cannot pack 400 MB into a kilobyte."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((1000, 1000, 400))
    header.set_data_dtype(np.uint8)
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(1000)))
    assert "400 MB of voxels, but the file ends too early" in refused(tmp_path / "bomb.nii.gz")


def test_a_photo_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.setattr(limits, "available_memory", lambda: 1000)
    assert "1 x 40 x 50 voxels" in refused(tmp_path / "photo.png")


def test_available_memory_is_known() -> None:
    free = limits.available_memory()
    assert free is not None
    assert 1e8 < free < 1e14


def test_no_permission_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.nii"
    write(VOLUME, path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def no_entry(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", no_entry)
    assert "No permission to read" in refused(path)


def test_a_folder_named_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder.nii.gz").mkdir()
    assert "holds no DICOM images" in refused(tmp_path / "folder.nii.gz")


def test_a_series_of_a_single_file(tmp_path: Path) -> None:
    write(VOLUME, tmp_path / "image.nii")
    with pytest.raises(FlomoError, match="no series can be chosen"):
        read(tmp_path / "image.nii", series=3)


@pytest.mark.parametrize("name", ["out.xyz", "out", "out.gz", "out.nii.bz2", "out.jpg", "out.dcm"])
def test_unknown_formats_are_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match=r"ends in \.nii\.gz, \.nii, \.nrrd"):
        write(VOLUME, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [*MEDICAL, ".png", ".tif"])
def test_an_interrupted_write_leaves_the_old_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Volume.from_array(np.zeros((4, 5), np.uint8))
    volume = VOLUME if suffix in MEDICAL else old
    path = tmp_path / f"image{suffix}"
    write(volume, path)
    before = path.read_bytes()

    def full_disk(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(FlomoError, match="disk is full"):
        write(volume.with_data(volume.data + 1), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    monkeypatch.undo()
    with pytest.raises(FlomoError, match="does not exist"):
        write(volume, tmp_path / "no folder" / path.name)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
def test_a_damaged_header_gives_an_image_or_an_error(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    write(VOLUME, path, compress=False)
    content = path.read_bytes()

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.tuples(st.integers(0, 360), st.integers(0, 255)), min_size=1, max_size=6))
    def damage(changes: list[tuple[int, int]]) -> None:
        broken = bytearray(content)
        for at, byte in changes:
            broken[at] = byte
        path.write_bytes(broken)
        with contextlib.suppress(FlomoError):  # any other error fails
            assert isinstance(read(path), Volume)

    damage()
