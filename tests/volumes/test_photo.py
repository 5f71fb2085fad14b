"""Photos: what a person sees, without millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, read, write

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)
COLOUR = np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".jpg"])
@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
def test_rows_columns_and_channels(image: np.ndarray, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(image).save(path)
    volume = read(path)
    assert volume.data.shape == (1, *image.shape)
    assert volume.axes == ("slices", "rows", "columns", "channels")[: image.ndim + 1]
    assert volume.modality == "photo"
    assert volume.source == "photo"
    assert volume.geometry == Geometry.unknown()
    if suffix != ".jpg":
        np.testing.assert_array_equal(volume.data[0], image)


def test_modes(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(GREY > 9).save(path)  # one bit
    np.testing.assert_array_equal(read(path).data[0], GREY > 9)
    Image.fromarray(GREY.astype(np.uint16) * 1000).save(path)
    np.testing.assert_array_equal(read(path).data[0], GREY.astype(np.uint16) * 1000)
    Image.fromarray(COLOUR).convert("RGBA").save(path)
    assert read(path).data.shape == (1, 4, 5, 4)
    Image.fromarray(COLOUR).quantize(8).save(path)  # palette
    assert read(path).data.shape == (1, 4, 5, 3)
    Image.fromarray(GREY).convert("LA").save(path)
    np.testing.assert_array_equal(read(path).data[0], GREY)
    path = tmp_path / "photo.tif"
    Image.fromarray(GREY.astype(np.float32) / 7).save(path)
    np.testing.assert_array_equal(read(path).data[0], GREY.astype(np.float32) / 7)


def test_pages_are_slices(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY + page) for page in range(3)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    volume = read(tmp_path / "stack.tif")
    np.testing.assert_array_equal(volume.data, [GREY, GREY + 1, GREY + 2])
    pages[1] = Image.fromarray(GREY.T.copy())
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(FlomoError, match="differ in size"):
        read(tmp_path / "stack.tif")


def test_the_orientation_of_the_camera_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(GREY).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "photo.png").data[0], np.rot90(GREY, -1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_masks_of_photos_round_trip(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "photo.png")
    photo = read(tmp_path / "photo.png")
    for dtype in (np.uint8, np.uint16):
        mask = photo.with_data(GREY[np.newaxis].astype(dtype))
        write(mask, tmp_path / f"mask{suffix}")
        back = read(tmp_path / f"mask{suffix}")
        np.testing.assert_array_equal(back.data, mask.data)
        assert back.data.dtype == dtype
    write(photo, tmp_path / f"copy{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"copy{suffix}").data, photo.data)


def test_tiff_holds_stacks_and_floats(tmp_path: Path) -> None:
    stack = Volume.from_array(np.random.default_rng(0).random((3, 4, 5)))
    write(stack, tmp_path / "stack.tif")
    np.testing.assert_array_equal(read(tmp_path / "stack.tif").data, stack.data.astype(np.float32))


@pytest.mark.parametrize(
    ("volume", "name", "words"),
    [
        (Volume.from_array(GREY, (1, 1)), "mask.png", "position and spacing"),
        (Volume.from_array(np.zeros((2, 4, 5), np.uint8)), "mask.png", "only one image"),
        (Volume.from_array(np.zeros((2, 2, 4, 5), np.uint8)), "mask.tif", "only one image"),
        (Volume.from_array(GREY.astype(np.int64)), "mask.png", "int64 unchanged"),
        (Volume.from_array(GREY.astype(np.float32)), "mask.png", "float32 unchanged"),
        (Volume.from_array(GREY), "mask.jpg", "end in .jpg are not supported"),
        (Volume.from_array(COLOUR, axes=("rows", "columns", "channels")), "a.nii.gz", "colour"),
        (Volume.from_array(COLOUR, axes=("rows", "columns", "channels")), "a.nrrd", "channels"),
        (Volume.from_array(GREY), "mask.mha", "unknown pixel size"),
    ],
)
def test_nothing_is_lost_silently(volume: Volume, name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match=words):
        write(volume, tmp_path / name)
    assert not list(tmp_path.iterdir())
