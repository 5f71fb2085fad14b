"""MetaImage: where the voxels are, and whether they are what the header declares."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, read

DATA = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
GRID = Geometry((2, 3, 4), (10, 20, 30))


def save(path: Path, data_file: str, *names: str, body: bytes = b"", **fields: object) -> Path:
    head = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "Offset": "10 20 30",
        "ElementSpacing": "2 3 4",
        "DimSize": "5 4 3",
        "ElementType": "MET_SHORT",
        **fields,
    }
    lines = [f"{name} = {value}" for name, value in head.items()]
    text = "\n".join([*lines, f"ElementDataFile = {data_file}", *names, ""])
    path.write_bytes(text.encode() + body)
    return path


def check(path: Path) -> None:
    volume = read(path)
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.data.dtype == np.int16
    assert volume.geometry == GRID


@pytest.mark.parametrize("name", ["77 %.zraw", "50%d.raw", "a %s b.raw", "100%%.raw"])
def test_percent_in_a_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(zlib.compress(DATA.tobytes()))
    check(save(tmp_path / f"{name}.mhd", name, CompressedData=True))


def test_percent_in_a_name_as_itk_writes_it(tmp_path: Path, repository: Path) -> None:
    folder = repository / "tests" / "fieldtests" / "mhd_percent_in_name"
    odd, clean = read(folder / "BestDiast 77 %.mhd"), read(folder / "clean.mha")
    np.testing.assert_array_equal(odd.data, clean.data)
    assert odd.geometry == clean.geometry
    image = sitk.GetImageFromArray(DATA)
    image.SetSpacing((2, 3, 4))
    image.SetOrigin((10, 20, 30))
    sitk.WriteImage(image, str(tmp_path / "5 %.mha"), useCompression=True)
    check(tmp_path / "5 %.mha")


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match=r".*gone\.raw, which is missing"):
        read(save(tmp_path / "image.mhd", "gone.raw"))
    with pytest.raises(FlomoError, match=r".*77 %\.zraw, which is missing"):
        read(save(tmp_path / "image.mhd", "77 %.zraw", CompressedData=True))


def test_several_files(tmp_path: Path) -> None:
    for number, part in enumerate(DATA, start=1):
        (tmp_path / f"s{number:02}.raw").write_bytes(part.tobytes())
    names = [f"s{number:02}.raw" for number in (1, 2, 3)]
    check(save(tmp_path / "list.mhd", "LIST", *names))
    check(save(tmp_path / "list.mhd", "LIST 2D", *names))
    check(save(tmp_path / "pattern.mhd", "s%02d.raw 1 3 1"))
    check(save(tmp_path / "pattern.mhd", "s%02d.raw"))
    with pytest.raises(FlomoError, match=r".*s04\.raw, which is missing"):
        read(save(tmp_path / "pattern.mhd", "s%02d.raw 2 4 1"))
    with pytest.raises(FlomoError, match="cannot be divided among 2 data files"):
        read(save(tmp_path / "list.mhd", "LIST", *names[:2]))


def test_the_size_of_the_data_must_be_the_declared_one(tmp_path: Path) -> None:
    whole, packed = DATA.tobytes(), zlib.compress(DATA.tobytes())
    cases = [
        (whole[:-2], {}, "ends too early"),
        (whole + bytes(352), {}, "holds 472 bytes of voxels, but its header declares 120"),
        (packed[:-5], {"CompressedData": True}, "damaged or truncated"),
        (packed, {"CompressedData": True, "CompressedDataSize": 999}, "damaged or truncated"),
        (zlib.compress(whole[:-2]), {"CompressedData": True}, "damaged or truncated"),
        (zlib.compress(whole + b"xx"), {"CompressedData": True}, "damaged or truncated"),
        (whole, {"CompressedData": True}, "damaged or truncated"),
        (whole, {"DimSize": "5 4 2"}, "holds 120 bytes of voxels, but its header declares 80"),
    ]
    for body, fields, words in cases:
        (tmp_path / "voxels.raw").write_bytes(body)
        with pytest.raises(FlomoError, match=words):
            read(save(tmp_path / "image.mhd", "voxels.raw", **fields))


def test_headers_before_the_voxels(tmp_path: Path) -> None:
    (tmp_path / "voxels.raw").write_bytes(b"seventeen bytes.." + DATA.tobytes())
    check(save(tmp_path / "image.mhd", "voxels.raw", HeaderSize=-1))
    check(save(tmp_path / "image.mhd", "voxels.raw", HeaderSize=17))


@pytest.mark.parametrize("tag", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
def test_byte_order(tag: str, tmp_path: Path) -> None:
    body = DATA.astype(">i2").tobytes()
    check(save(tmp_path / "image.mha", "LOCAL", body=body, **{tag: True}))
    packed = zlib.compress(body)
    fields = {tag: True, "CompressedData": True, "CompressedDataSize": len(packed)}
    check(save(tmp_path / "image.mha", "LOCAL", body=packed, **fields))


def test_text_and_gzip(tmp_path: Path) -> None:
    words = " ".join(map(str, DATA.ravel())).encode()
    check(save(tmp_path / "image.mha", "LOCAL", body=words, BinaryData=False))
    body = gzip.compress(DATA.tobytes())
    check(save(tmp_path / "image.mha", "LOCAL", body=body, CompressedData=True))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UCHAR", "u1"),
        ("CHAR", "i1"),
        ("USHORT", "u2"),
        ("INT", "i4"),
        ("UINT", "u4"),
        ("LONG_LONG", "i8"),
        ("FLOAT", "f4"),
        ("DOUBLE", "f8"),
    ],
)
def test_types_as_in_itk(name: str, code: str, tmp_path: Path) -> None:
    data = DATA.astype(code)
    path = save(tmp_path / "image.mha", "LOCAL", body=data.tobytes(), ElementType=f"MET_{name}")
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(expected, data)
    found = read(path).data
    assert found.dtype == expected.dtype == np.dtype(code)
    np.testing.assert_array_equal(found, expected)
