"""The files that pydicom brings for its own tests: every encoding, and file sets of studies."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, read

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
SETS = FILES / "dicomdirtests"


def alone(tmp_path: Path, name: str) -> Volume:
    """Read a file in a folder of its own: there, many have the same UIDs."""
    shutil.copy(FILES / name, tmp_path)
    return read(tmp_path / Path(name).name)


@pytest.mark.parametrize(
    "encoding",
    ["RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded"],
)
def test_encodings_of_one_image(tmp_path: Path, encoding: str) -> None:
    plain = alone(tmp_path / ".", "MR_small.dcm")
    (tmp_path / "MR_small.dcm").unlink()
    volume = alone(tmp_path, f"MR_small_{encoding}.dcm")
    np.testing.assert_array_equal(volume.data, plain.data)
    assert volume.geometry == plain.geometry
    assert plain.data[0, 0, :3].tolist() == [905, 1019, 1227]  # as pydicom's own tests have them
    assert plain.geometry.spacing == (0.3125, 0.3125, 0.8)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("image_dfl.dcm", (1, 512, 512)),  # deflated
        ("JPEG-lossy.dcm", (1, 1024, 256)),
        ("JPEG2000.dcm", (1, 1024, 256)),
        ("ExplVR_BigEnd.dcm", (1, 60, 80, 3)),
        ("CT_small.dcm", (1, 128, 128)),
    ],
)
def test_other_encodings(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    assert alone(tmp_path, name).data.shape == shape


@pytest.mark.parametrize(
    "name", ["test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm", "liver_1frame.dcm", "reportsi.dcm"]
)
def test_objects_that_are_no_images_are_left_out(tmp_path: Path, name: str) -> None:
    alone(tmp_path, "CT_small.dcm")
    with pytest.raises(FlomoError, match="is DICOM, but not an image"):
        alone(tmp_path, name)
    assert read(tmp_path).data.shape == (1, 128, 128)


def test_a_damaged_file_beside_another_series(tmp_path: Path) -> None:
    whole = alone(tmp_path, "CT_small.dcm")
    shutil.copy(FILES / "MR_truncated.dcm", tmp_path)
    for path in (tmp_path, tmp_path / "CT_small.dcm"):
        np.testing.assert_array_equal(read(path).data, whole.data)
    with pytest.raises(FlomoError, match=r"MR_truncated.dcm cannot be read"):
        read(tmp_path / "MR_truncated.dcm")


@pytest.mark.parametrize(
    "name", ["", "DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-reordered"]
)
def test_file_sets(name: str) -> None:
    with pytest.raises(FlomoError) as caught:
        read(SETS / name)
    assert "holds 13 series" in str(caught.value)
    assert "5 'SmartScore - Gated 0.5 sec' (CT, 5 images of 16 x 16)" in str(caught.value)
    for wanted in (5, "smartscore - gated 0.5 sec"):
        volume = read(SETS / name, series=wanted)
        assert volume.data.shape == (5, 16, 16)
        assert volume.geometry.spacing == pytest.approx((0.488281, 0.488281, 2.5))


def test_files_without_their_pixels() -> None:
    with pytest.raises(FlomoError, match="IM000000 cannot be read"):
        read(SETS / "TINY_ALPHA")
