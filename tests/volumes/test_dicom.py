"""DICOM folders: order from positions and phases alone, and every way a series can be wrong."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, read

N_SLICES, N_PHASES, ROWS, COLUMNS = 4, 3, 6, 5
# A short-axis-like plane: columns, rows and normal all oblique, right-handed.
ALONG_ROW = np.array([2.0, 1.0, -2.0]) / 3
ALONG_COLUMN = np.array([-2.0, 2.0, -1.0]) / 3
NORMAL = np.cross(ALONG_ROW, ALONG_COLUMN)
ORIGIN = np.array([10.0, -20.0, 30.0])
STEP = 9.5


def plane(slice_: float) -> dict[str, object]:
    return {
        "ImagePositionPatient": [round(value, 6) for value in ORIGIN + slice_ * STEP * NORMAL],
        "ImageOrientationPatient": [round(value, 8) for value in (*ALONG_ROW, *ALONG_COLUMN)],
        "PixelSpacing": [1.5, 1.25],  # between rows, between columns
        "SliceThickness": 8,
        "ImageType": "ORIGINAL\\PRIMARY\\M",
    }


def pixels(slice_: int, phase: int) -> np.ndarray:
    image = np.arange(ROWS * COLUMNS, dtype=np.int16).reshape(ROWS, COLUMNS)
    return image + 1000 * slice_ + 100 * phase


@pytest.fixture
def cine(tmp_path: Path, write_dicom: Callable) -> Path:
    """A cine in one flat folder, names and instance numbers shuffled against place and time."""
    folder = tmp_path / "cine"
    folder.mkdir()
    names = [f"{number}.dcm" for number in range(N_SLICES * N_PHASES)]
    random.Random(0).shuffle(names)
    for slice_ in range(N_SLICES):
        for phase in range(N_PHASES):
            tags = plane(slice_) | {
                # Each slice has its own heartbeat, so times agree only in their order.
                "TriggerTime": 20 + (40 + slice_) * phase,
                "InstanceNumber": 100 - phase,
            }
            write_dicom(folder / names.pop(), pixels(slice_, phase), tags)
    return folder


def file_at(folder: Path, slice_: int, phase: int) -> Path:
    wanted = int(pixels(slice_, phase)[0, 0])
    for file in folder.iterdir():
        if sitk.GetArrayFromImage(sitk.ReadImage(str(file)))[0, 0, 0] == wanted:
            return file
    raise AssertionError


def test_slices_and_phases_are_sorted(cine: Path) -> None:
    volume = read(cine)
    assert volume.axes == ("frames", "slices", "rows", "columns")
    expected = [[pixels(s, p) for s in range(N_SLICES)] for p in range(N_PHASES)]
    np.testing.assert_array_equal(volume.data, expected)
    geometry = volume.geometry
    np.testing.assert_allclose(geometry.spacing, (1.25, 1.5, STEP), rtol=1e-6)
    np.testing.assert_allclose(geometry.origin, ORIGIN, atol=1e-6)
    matrix = np.column_stack([ALONG_ROW, ALONG_COLUMN, NORMAL])
    np.testing.assert_allclose(geometry.direction_matrix, matrix, atol=1e-7)
    assert volume.frame_step == pytest.approx(0.0415, abs=0.001)
    assert volume.modality == "MR"


def test_geometry_of_each_file_is_that_of_itk(cine: Path) -> None:
    geometry = read(cine).geometry
    for slice_ in range(N_SLICES):
        image = sitk.ReadImage(str(file_at(cine, slice_, 0)))
        truth = image.TransformIndexToPhysicalPoint((3, 5, 0))
        np.testing.assert_allclose(geometry.positions((3, 5, slice_)), truth, atol=1e-5)


def test_no_patient_data_is_kept(cine: Path) -> None:
    volume = read(cine)
    text = repr(dataclasses.replace(volume, data=np.zeros((1, 1, 1, 1)))) + repr(volume.extra)
    assert volume.source.startswith("dicom-")
    for word in ("Doe", "Jane", "1.2.3", "cine", str(cine)):
        assert word not in text
    assert volume.source == read(cine).source
    assert read(next(cine.iterdir())).source == volume.source


def test_other_files_are_ignored(cine: Path, write_dicom: Callable) -> None:
    (cine / "readme.txt").write_text("Not an image, though it is long enough to be one. " * 20)
    (cine / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(100))
    (cine / ".hidden.dcm").write_bytes(b"x")
    (cine / "more").mkdir()
    (cine / "empty").touch()
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "SeriesInstanceUID": "9.9"}
    write_dicom(cine / "report.dcm", None, report)
    assert read(cine).data.shape == (N_PHASES, N_SLICES, ROWS, COLUMNS)


def test_phases_fall_back_to_instance_numbers(tmp_path: Path, write_dicom: Callable) -> None:
    for name, (slice_, phase) in enumerate([(1, 1), (0, 0), (1, 0), (0, 1)]):
        tags = plane(slice_) | {"TriggerTime": 0, "InstanceNumber": 10 * slice_ + phase}
        write_dicom(tmp_path / str(name), pixels(slice_, phase), tags)
    expected = [[pixels(s, p) for s in range(2)] for p in range(2)]
    np.testing.assert_array_equal(read(tmp_path).data, expected)


def test_a_plain_stack_has_no_frames(tmp_path: Path, write_dicom: Callable) -> None:
    for slice_ in range(3):
        write_dicom(tmp_path / f"{9 - slice_}", pixels(slice_, 0), plane(slice_))
    volume = read(tmp_path)
    assert volume.axes == ("slices", "rows", "columns")
    np.testing.assert_array_equal(volume.data, [pixels(s, 0) for s in range(3)])
    assert volume.frame_step is None


def test_one_slice_over_time(tmp_path: Path, write_dicom: Callable) -> None:
    for phase in range(3):
        tags = plane(0) | {"TemporalPositionIdentifier": 3 - phase}
        write_dicom(tmp_path / f"{phase}", pixels(0, phase), tags)
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.data[:, 0], [pixels(0, p) for p in (2, 1, 0)])
    assert volume.geometry.spacing == (1.25, 1.5, 8)


def test_values_are_rescaled(tmp_path: Path, write_dicom: Callable) -> None:
    for slice_, slope in enumerate((2, 0.5)):  # as in PET, each slice has its own
        tags = plane(slice_) | {"RescaleIntercept": -10, "RescaleSlope": slope}
        write_dicom(tmp_path / f"{slice_}", pixels(slice_, 0), tags)
    expected = [pixels(0, 0) * 2.0 - 10, pixels(1, 0) * 0.5 - 10]
    np.testing.assert_array_equal(read(tmp_path).data, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_more_is_brighter(dtype: type, tmp_path: Path, write_dicom: Callable) -> None:
    image = np.array([[0, 10], [20, 120]], dtype)
    tags = {"PhotometricInterpretation": "MONOCHROME1", "Modality": "DX"}  # the least is white
    write_dicom(tmp_path / "chest.dcm", image, tags)
    volume = read(tmp_path / "chest.dcm")
    turned = volume.data[0].astype(int)
    np.testing.assert_array_equal(turned + image, turned[0, 0])
    assert volume.modality == "DX"
    assert volume.geometry == Geometry.unknown()


def test_a_file_stands_for_its_series(cine: Path) -> None:
    volume = read(file_at(cine, 2, 1))
    np.testing.assert_array_equal(volume.data, read(cine).data)
    assert volume.notes == ("The file is one of 12 of its series, which was read as a whole.",)
    with pytest.raises(FlomoError, match=r"belongs to the series 7 .*, not to 8"):
        read(file_at(cine, 2, 1), series=8)


def test_a_file_alone(cine: Path, tmp_path: Path) -> None:
    nameless = tmp_path / "IM0001"
    nameless.write_bytes(file_at(cine, 2, 1).read_bytes())
    volume = read(nameless)
    np.testing.assert_array_equal(volume.data, [pixels(2, 1)])
    assert volume.geometry.spacing == (1.25, 1.5, 8)
    np.testing.assert_allclose(volume.geometry.origin, ORIGIN + 2 * STEP * NORMAL, atol=1e-6)
    assert volume.notes == ()


def test_a_file_of_a_localizer_is_read_alone(tmp_path: Path, write_dicom: Callable) -> None:
    for number, direction in enumerate(("1\\0\\0\\0\\1\\0", "1\\0\\0\\0\\0\\1")):
        tags = plane(number) | {"ImageOrientationPatient": direction}
        write_dicom(tmp_path / f"{number}", pixels(number, 0), tags)
    volume = read(tmp_path / "1")
    np.testing.assert_array_equal(volume.data, [pixels(1, 0)])
    assert "only this file was read" in volume.notes[0]


def test_ultrasound_film_in_colour(tmp_path: Path, write_dicom: Callable) -> None:
    film = np.random.default_rng(0).integers(0, 255, (3, 4, 6, 3), np.uint8)
    tags = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1",
        "Modality": "US",
        "NumberOfFrames": 3,
        "FrameTime": 40,
    }
    write_dicom(tmp_path / "film.dcm", film, tags)
    volume = read(tmp_path / "film.dcm")
    assert volume.axes == ("frames", "slices", "rows", "columns", "channels")
    np.testing.assert_array_equal(volume.data[:, 0], film)
    assert volume.frame_step == pytest.approx(0.04)


def test_frames_without_a_position_are_refused(tmp_path: Path, write_dicom: Callable) -> None:
    tags = plane(0) | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1", "NumberOfFrames": 3}
    write_dicom(tmp_path / "enhanced.dcm", np.zeros((3, 4, 6), np.int16), tags)
    with pytest.raises(FlomoError, match="holds 3 images without their positions"):
        read(tmp_path / "enhanced.dcm")


def test_series_saved_by_itk(tmp_path: Path) -> None:
    """SimpleITK writes each slice as an enhanced object with its position in a sequence."""
    for slice_ in range(3):
        image = sitk.GetImageFromArray(pixels(slice_, 0)[np.newaxis])
        image.SetSpacing((1.25, 1.5, 8))
        image.SetOrigin((1, 2, 3 + 8 * slice_))
        for key, value in {"0008|0060": "MR", "0020|000e": "1.2.3", "0020|000d": "1.2"}.items():
            image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(tmp_path / f"{slice_}.dcm"))
        writer.Execute(image)
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.data, [pixels(s, 0) for s in range(3)])
    assert volume.geometry.same_space(Geometry((1.25, 1.5, 8), (1, 2, 3)), 1e-6)


def test_one_of_several_series_must_be_chosen(cine: Path, write_dicom: Callable) -> None:
    for slice_ in range(2):
        tags = plane(slice_) | {"SeriesInstanceUID": "5.6", "SeriesNumber": 12}
        write_dicom(cine / f"x{slice_}", pixels(slice_, 0), tags)
    with pytest.raises(FlomoError) as caught:
        read(cine)
    message = str(caught.value)
    assert "2 series" in message
    assert "7 (MR, 12 images of 6 x 5)" in message
    assert "12 (MR, 2 images of 6 x 5)" in message
    assert read(cine, series=12).data.shape == (2, ROWS, COLUMNS)
    assert read(cine, series="7").n_frames == N_PHASES
    assert read(cine, series="5.6").n_slices == 2
    with pytest.raises(FlomoError, match="no series 8; there is 7 "):
        read(cine, series=8)


def test_a_missing_slice_is_named(cine: Path) -> None:
    for phase in range(N_PHASES):
        file_at(cine, 2, phase).unlink()
    with pytest.raises(FlomoError, match=r"Between slice 2 .* and slice 3 .* 19.00 mm instead of"):
        read(cine)


def test_only_complete_phases_are_read(cine: Path) -> None:
    whole = read(cine)
    file_at(cine, 1, 2).unlink()
    volume = read(cine)
    np.testing.assert_array_equal(volume.data, whole.data[:2])
    assert volume.notes == (
        "Slice 2 has fewer images than the others, so 1 of 3 phases (number 3) was left out of all "
        "slices.",
    )


def test_too_many_missing_phases_are_refused(cine: Path) -> None:
    for slice_, phase in ((1, 2), (2, 1)):
        file_at(cine, slice_, phase).unlink()
    with pytest.raises(FlomoError, match=r"Slice 2 of 4 .* has 2 images, but most slices have 3"):
        read(cine)


def moved(slice_: float, along: np.ndarray, mm: float) -> dict[str, object]:
    position = ORIGIN + slice_ * STEP * NORMAL + mm * along
    return plane(slice_) | {"ImagePositionPatient": [round(value, 6) for value in position]}


def with_odd(**odd: object) -> list[dict[str, object]]:
    """Return a stack whose second image has other elements."""
    return [plane(0), plane(1) | odd, plane(2)]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([plane(at) for at in (0, 1, 2.4, 3.4)], "not evenly spaced"),
        ([plane(at) for at in (0, 1, 2, 5, 6)], r"slice 3 \(2\) and .*2 slices are mi"),
        (
            [plane(0), plane(1), moved(2, ALONG_ROW, 3), plane(3)],
            r"Slice 3 .* shifted sideways by 3.0 mm",
        ),
        (with_odd(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), "differ in direction"),
        (with_odd(PixelSpacing=[2, 2]), "differ in direction or pixel size"),
        (with_odd(ImagePositionPatient=None), "has no position in its header"),
        (with_odd(ImageOrientationPatient=None), "has no orientation in its header"),
        (with_odd(ImagePositionPatient=[1, 2]), "has no position in its header"),
        (
            [plane(0) | {"ImageType": f"ORIGINAL\\PRIMARY\\{kind}"} for kind in "MP"],
            "mixes different images of the same slice",
        ),
        ([plane(0), plane(0)], "gives their order"),
    ],
)
def test_images_that_are_no_stack(
    images: list[dict], words: str, tmp_path: Path, write_dicom: Callable
) -> None:
    for number, tags in enumerate(images):
        write_dicom(tmp_path / f"{number}", pixels(0, number), tags)
    with pytest.raises(FlomoError, match=words):
        read(tmp_path)


def test_images_of_two_sizes(tmp_path: Path, write_dicom: Callable) -> None:
    write_dicom(tmp_path / "a", np.zeros((4, 5), np.int16), plane(0))
    write_dicom(tmp_path / "b", np.zeros((5, 4), np.int16), plane(1))
    with pytest.raises(FlomoError, match=r"differ in size \(a: 4 x 5, b: 5 x 4\)"):
        read(tmp_path)


def test_a_truncated_file_is_an_error(cine: Path) -> None:
    last = file_at(cine, N_SLICES - 1, 0)
    for size in (len(last.read_bytes()) - 10, 300):
        last.write_bytes(last.read_bytes()[:size])
        with pytest.raises(FlomoError, match=f"{last.name} cannot be read"):
            read(cine)


def test_a_damaged_length_is_an_error(tmp_path: Path, write_dicom: Callable) -> None:
    """GDCM alone would allocate the 2 GB that this element claims."""
    path = tmp_path / "image.dcm"
    write_dicom(path, pixels(0, 0), plane(0))
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\x00OW") + 8
    path.write_bytes(content[:at] + b"\0\0\0\x7f" + content[at + 4 :])
    with pytest.raises(FlomoError, match=r"damaged or truncated"):
        read(path)


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="holds no DICOM images"):
        read(tmp_path)
    (tmp_path / "notes.txt").write_text("x" * 500)
    with pytest.raises(FlomoError, match="holds no DICOM images"):
        read(tmp_path)
