"""Series that were split, doubled, moved or mixed on their way; made from the clean cine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, read

Change = Callable[[Dataset, int, int], object]
"""Changes an image, of which slice and phase are told."""


def split(one: Dataset, slice_: int, **elements: Any) -> None:
    """Put a slice into a series of its own."""
    one.SeriesInstanceUID = f"1.2.3.{slice_ + 1}"
    one.SeriesNumber = 40 + slice_
    for keyword, value in elements.items():
        setattr(one, keyword, value)


def values(folder: Path, **options: Any) -> np.ndarray:
    return read(folder, **options).data


@pytest.mark.parametrize(
    "descriptions",
    [
        ("CINE_segmented_SAX_b1", "CINE_segmented_SAX_b2", "CINE_segmented_SAX_b10"),
        ("cine SA slice 1", "cine SA slice 2", "cine SA slice 3"),
        ("SSFP base", "SSFP mid", "SSFP apex"),
        ("sa_1", "sa_2", "sa_3"),
    ],
)
def test_series_for_each_slice(export: Any, cine: Volume, descriptions: tuple[str, ...]) -> None:
    def change(one: Dataset, slice_: int, _phase: int) -> None:
        split(one, slice_, SeriesDescription=descriptions[slice_], InstanceNumber=1 + _phase)

    volume = read(export(change))
    np.testing.assert_array_equal(volume.data, cine.data)
    assert volume.geometry == cine.geometry
    assert volume.source != cine.source


@pytest.mark.parametrize(
    "change",
    [
        lambda one, s, p: split(one, s, SeriesDescription=("cine sa", "lge sa", "t1 sa")[s]),
        lambda one, s, p: split(one, s, SeriesDescription=f"cine {s + 2}ch"),
        lambda one, s, p: split(one, s, StudyInstanceUID=f"1.9.{s}"),
        lambda one, s, p: split(one, s, FrameOfReferenceUID=f"1.8.{s}"),
        lambda one, s, p: split(one, s, ScanningSequence=("GR", "SE", "IR")[s]),
        lambda one, s, p: split(one, s, EchoTime=(1, 2, 4)[s]),
        lambda one, s, p: split(one, s, ImageType=["ORIGINAL", "PRIMARY", "MPR"[s]]),
        lambda one, s, p: split(one, s, SliceThickness=3, SpacingBetweenSlices=3),
        lambda one, s, p: (split(one, s), None if s != 1 or p else False)[1],
    ],
    ids=[
        *("description", "long axis", "study", "frame of reference", "sequence", "echo time"),
        *("image type", "gap", "phases"),
    ],
)
def test_different_series_are_not_joined(export: Any, change: Change) -> None:
    with pytest.raises(FlomoError, match="holds 3 series: 40 "):
        read(export(change))


def test_two_stacks_are_not_joined(export: Any, cine: Volume) -> None:
    export(lambda one, s, p: setattr(one, "SeriesDescription", "cine sa"))
    again = {s: generate_uid() for s in range(3)}

    def change(one: Dataset, slice_: int, phase: int) -> None:
        one.SeriesInstanceUID, one.SeriesNumber = again[0], 301
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        one.SeriesDescription = "cine sa repeated"

    study = export(change, prefix="again")
    with pytest.raises(FlomoError) as caught:
        read(study)
    message = str(caught.value)
    assert "300 'cine sa' (MR, 9 images of 112 x 112)" in message
    assert "301 'cine sa repeated' (MR, 9 images of 112 x 112)" in message
    for chosen in ("300", 300, "CINE SA", "0300", cine.source):
        np.testing.assert_array_equal(values(study, series=chosen), cine.data)
    assert read(study, series=again[0]).notes == ()
    with pytest.raises(FlomoError, match="no series 7; there is 300 'cine sa'"):
        read(study, series=7)


def test_joined_slices_beside_other_series(export: Any, cine: Volume) -> None:
    export(lambda one, s, p: split(one, s, SeriesDescription=f"sax {s}"))

    def other(one: Dataset, slice_: int, _phase: int) -> object:
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        split(one, 7, SeriesDescription="cine 2ch")
        return slice_ == 0

    study = export(other, prefix="la")
    with pytest.raises(FlomoError, match=r"40-42 'sax 0' \(MR, 9 images .* 3 series of one slice"):
        read(study)
    for chosen in ("40-42", "41", "sax 2"):
        np.testing.assert_array_equal(values(study, series=chosen), cine.data)
    np.testing.assert_array_equal(values(study, series="cine 2ch"), cine.data[:, :1])


def test_localizers_and_pictures_are_left_out(export: Any, cine: Volume) -> None:
    export()

    def localizer(one: Dataset, slice_: int, phase: int) -> object:
        split(one, 8, SeriesDescription="3-plane Localizer")
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        one.ImageOrientationPatient = np.roll(np.eye(3), slice_, 0)[:2].ravel().tolist()
        return phase == 0

    study = export(localizer, prefix="loc")
    volume = read(study)
    np.testing.assert_array_equal(volume.data, cine.data)
    assert volume.notes == ("1 other series (localizers or screenshots) was skipped.",)


def test_a_localizer_in_the_series_itself(export: Any, cine: Volume) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> object:
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        return (slice_, phase) == (0, 0)

    export()
    np.testing.assert_array_equal(values(export(change, prefix="scout")), cine.data)


def test_a_copy_under_another_name(export: Any, cine: Volume) -> None:
    study = export()
    shutil.copy(study / "IM0004", study / "copy of IM0004")
    volume = read(study)
    np.testing.assert_array_equal(volume.data, cine.data)
    assert volume.notes == ("1 file is a copy of others of the series and was left out.",)


def test_a_copy_under_another_uid(export: Any, cine: Volume) -> None:
    def change(one: Dataset, *_: int) -> None:
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()

    export(change)
    volume = read(export(change, prefix="again"))
    np.testing.assert_array_equal(volume.data, cine.data)
    assert "9 files are copies" in volume.notes[0]


def test_one_uid_for_two_images(export: Any) -> None:
    study = export()
    one = pydicom.dcmread(study / "IM0004")
    one.decompress()
    one.PixelData = bytes(len(one.PixelData))
    one.SOPInstanceUID = pydicom.dcmread(study / "IM0004").SOPInstanceUID
    one.save_as(study / "changed")
    with pytest.raises(FlomoError, match="have the same SOP Instance UID but differ"):
        read(study)


@pytest.mark.parametrize("uid", ["1.2.3", ""])
def test_identical_uids_of_an_anonymiser(export: Any, cine: Volume, uid: str) -> None:
    """Some programs that take names out give all images the same, or none."""
    study = export(lambda one, s, p: setattr(one, "SOPInstanceUID", uid))
    np.testing.assert_array_equal(values(study), cine.data)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("size", [0.004, 0.03, 0.15])
def test_jitter_along_any_axis(export: Any, cine: Volume, axis: int, size: float) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> None:
        position = [float(value) for value in one.ImagePositionPatient]
        position[axis] += size * ((phase + slice_) % 3 - 1)
        one.ImagePositionPatient = position

    volume = read(export(change))
    np.testing.assert_array_equal(volume.data, cine.data)
    np.testing.assert_allclose(volume.geometry.origin, cine.geometry.origin, atol=size)
    np.testing.assert_allclose(volume.geometry.spacing[2], 10, atol=size)
    assert size < 0.01 or "their mean was used" in volume.notes[0]


def test_jitter_of_a_single_slice(export: Any, cine: Volume) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> object:
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, y, f"{float(z) + 0.05 * phase:.4f}"]
        return slice_ == 1

    np.testing.assert_array_equal(values(export(change)), cine.data[:, 1:2])


def along_normal(one: Dataset, cine: Volume, shift: float) -> None:
    normal = cine.geometry.direction_matrix[:, 2]
    position = np.array(one.ImagePositionPatient, float) + shift * normal
    one.ImagePositionPatient = position.round(4).tolist()


def test_slices_too_uneven_for_a_mean(export: Any, cine: Volume) -> None:
    study = export(lambda one, s, p: along_normal(one, cine, -2.5 if s == 1 else 0))
    with pytest.raises(FlomoError, match=r"12\.50 mm instead of 7\.50 mm: the slices are"):
        read(study)


@pytest.mark.parametrize("place", ["{p}", "SE{s}", "a/b{s}/c{p}"])
def test_nested_folders(export: Any, cine: Volume, tmp_path: Path, place: str) -> None:
    study = export(place=lambda s, p: f"study/{place.format(s=s, p=p)}")
    (study / "README").write_text("what is on this CD " * 50)
    (study / ".trash").mkdir()
    shutil.copy(next(study.rglob("IM*")), study / ".trash" / "IM0000")
    volume = read(study)
    np.testing.assert_array_equal(volume.data, cine.data)
    assert volume.notes[0] == "The images lie in folders below the one that was given."


def test_a_series_that_continues_in_a_subfolder(export: Any, cine: Volume) -> None:
    export(lambda one, s, p: s < 2)
    study = export(lambda one, s, p: s == 2, place=lambda s, p: "study/more")
    volume = read(study)
    np.testing.assert_array_equal(volume.data, cine.data[:, :2])
    assert volume.notes == ("Folders below hold images of the same series, which were left out.",)


def test_a_series_in_a_subfolder(export: Any, cine: Volume) -> None:
    def other(one: Dataset, slice_: int, phase: int) -> object:
        split(one, 3)
        return (slice_, phase) == (0, 0)

    export(other)
    study = export(place=lambda s, p: "study/more")
    assert read(study).data.shape == (1, 112, 112)
    np.testing.assert_array_equal(values(study, series=300), cine.data)


def test_a_file_set(export: Any, cine: Volume, tmp_path: Path) -> None:
    """The DICOMDIR counts, not what else lies beside it."""
    study = export(lambda one, s, p: setattr(one, "PatientID", "1"))
    made = FileSet()
    for file in sorted(study.iterdir()):
        one = pydicom.dcmread(file)
        one.StudyID = "1"
        one.save_as(file)
        made.add(file)
    made.write(tmp_path / "cd")
    shutil.copytree(study, tmp_path / "cd" / "MORE")
    np.testing.assert_array_equal(values(tmp_path / "cd" / "DICOMDIR"), cine.data)
    np.testing.assert_array_equal(values(tmp_path / "cd" / "DICOMDIR", series=300), cine.data)
    (tmp_path / "cd" / "DICOMDIR").write_bytes(b"torn")
    with pytest.raises(FlomoError, match="damaged DICOMDIR"):
        read(tmp_path / "cd" / "DICOMDIR")


def test_headers_that_violate_the_standard(export: Any, cine: Volume, recwarn: Any) -> None:
    def change(one: Dataset, slice_: int, phase: int) -> None:
        one.add_new(0x00100010, "PN", "Doe^" + "x" * 200)
        one.add_new(0x00080020, "DA", "no date")
        one.add_new(0x00181088, "IS", "")
        one.add_new(0x0008103E, "LO", "caf\xe9" * 30)

    with pydicom.config.disable_value_validation():
        study = export(change)
    recwarn.clear()
    np.testing.assert_array_equal(values(study), cine.data)
    assert not recwarn.list, "warnings of libraries quote the patient"
