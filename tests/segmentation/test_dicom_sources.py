"""DICOM segmentations of enhanced files, joined series and incomplete series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed")

import highdicom
import pydicom
from dicom_masks import by_position, check_with_dcmqi, labels_of, segment_numbers
from pydicom.uid import UID

from napari_flomo.files import write_all
from napari_flomo.models import ModelCard
from napari_flomo.segmentation import dicom_seg_files
from napari_flomo.volumes import Volume, find_series

EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"),
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")


@pytest.fixture(scope="module")
def cases(repository):
    return repository / "tests" / "fieldtests"


@pytest.fixture
def stripped(cases, tmp_path):
    """Copy the static stack without some elements."""

    def make(*keywords, **changes):
        folder = tmp_path / "stripped"
        folder.mkdir()
        for file in sorted((cases / "_clean" / "static").iterdir()):
            one = pydicom.dcmread(file)
            for keyword in keywords:
                if keyword in one:
                    delattr(one, keyword)
            for keyword, value in changes.items():
                setattr(one, keyword, value)
            if "SOPInstanceUID" in keywords:
                one.file_meta.MediaStorageSOPInstanceUID = ""
            one.save_as(folder / file.name, enforce_file_format=False)
        return folder

    return make


def made(place: Path, card: ModelCard, target: Path) -> tuple[Volume, list[Path], list[str]]:
    """Write random labels of a series as segmentations; return what was said, too."""
    labels, said = labels_of(place), []
    jobs = dicom_seg_files(labels, card, place, target / "s.dcm", note=said.append)
    write_all(jobs)
    return labels, [Path(path) for path, _ in jobs], said


def check_places(path: Path, codes: np.ndarray, volume: Volume, slack: float = 0.01) -> None:
    found = by_position(path, volume.geometry, codes.shape, slack)
    assert np.array_equal(found, segment_numbers(codes))


@pytest.mark.parametrize("missing", ["StudyID", "AccessionNumber", "patient"])
def test_field_cases(cases, card, tmp_path, missing):
    place = cases / "dicomseg_empty_tags_removed" / f"no_{missing}"
    labels, (path,), said = made(place, card, tmp_path)
    check_places(path, labels.data, labels)
    found = pydicom.dcmread(path)
    gone = ("PatientID", "PatientName") if missing == "patient" else (missing,)
    assert all(keyword in found and not found[keyword].value for keyword in gone)
    (sentence,) = said
    assert sentence.startswith("The images lack ")
    assert sentence.endswith("the segmentation leaves them empty.")


def test_all_optional_attributes_missing(stripped, card, tmp_path):
    labels, (path,), said = made(stripped(*EMPTY, "Manufacturer", "SeriesNumber"), card, tmp_path)
    check_places(path, labels.data, labels)
    found = pydicom.dcmread(path)
    assert all(keyword in found and not found[keyword].value for keyword in EMPTY)
    assert "Patient's Name" in said[0]
    highdicom.seg.segread(path)


def test_missing_uids_are_consistent(cases, card, tmp_path):
    folder = tmp_path / "cine"
    folder.mkdir()
    for file in (cases / "_clean" / "cine").iterdir():
        one = pydicom.dcmread(file)
        for keyword in NEEDED:
            delattr(one, keyword)
        one.file_meta.MediaStorageSOPInstanceUID = ""
        one.save_as(folder / file.name, enforce_file_format=False)
    labels, paths, said = made(folder, card, tmp_path)
    found = [pydicom.dcmread(path) for path in paths]
    assert len(found) == 3
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert len({one[keyword].value for one in found}) == 1
        assert UID(found[0][keyword].value).is_valid
    named = [group for one in found for group in one.ReferencedSeriesSequence]
    assert len({group.SeriesInstanceUID for group in named}) == 1
    images = [image for group in named for image in group.ReferencedInstanceSequence]
    assert len({image.ReferencedSOPInstanceUID for image in images}) == 9
    for frame, path in enumerate(paths):
        check_places(path, labels.data[frame], labels)
    assert "Study Instance UID" in said[1]
    assert "new ones were created" in said[1]


@pytest.mark.parametrize("keyword", [*NEEDED, "SliceThickness", "Modality", "SOPClassUID"])
@pytest.mark.parametrize("blank", [False, True])
def test_missing_or_empty_attribute(stripped, card, tmp_path, keyword, blank):
    folder = stripped(**{keyword: ""}) if blank else stripped(keyword)
    labels, (path,), _ = made(folder, card, tmp_path)
    check_places(path, labels.data, labels)
    highdicom.seg.segread(path)


def test_duplicate_uid(stripped, card, tmp_path):
    folder = stripped(SOPInstanceUID="1.2.3")
    labels, (path,), said = made(folder, card, tmp_path)
    check_places(path, labels.data, labels)
    assert any("SOP Instance UID" in sentence for sentence in said)


@pytest.mark.parametrize("place", ["study", "one_file_for_each_slice", "study/cine.dcm"])
def test_enhanced_files(cases, card, tmp_path, place):
    source = cases / "enhanced_multi_frame" / place
    labels, paths, _ = made(source, card, tmp_path)
    series = find_series(source)
    for phase, path in enumerate(paths):
        check_places(path, labels.data[phase], labels)
        wanted = {
            (str(plane.file.sop_uid), (plane.index or 0) + 1) for plane in series.planes[phase]
        }
        found = pydicom.dcmread(path)
        (group,) = found.ReferencedSeriesSequence
        assert group.SeriesInstanceUID == series.planes[0][0].file.series_uid
        assert {str(i.ReferencedSOPInstanceUID) for i in group.ReferencedInstanceSequence} == {
            uid for uid, _ in wanted
        }
        named = set()
        for groups in found.PerFrameFunctionalGroupsSequence:
            image = groups.DerivationImageSequence[0].SourceImageSequence[0]
            assert image.ReferencedSOPClassUID.name == "Enhanced MR Image Storage"
            named.add((str(image.ReferencedSOPInstanceUID), int(image.ReferencedFrameNumber)))
        assert named < wanted  # the slice without labels has no frame
        assert len(named) == len(wanted) - 1


def test_joined_series(cases, card, tmp_path):
    source = cases / "dicom_series_for_each_slice" / "study"
    labels, paths, _ = made(source, card, tmp_path)
    for phase, path in enumerate(paths):
        check_places(path, labels.data[phase], labels)
        groups = pydicom.dcmread(path).ReferencedSeriesSequence
        numbers = {group.SeriesInstanceUID for group in groups}
        assert numbers == {f"1.2.826.0.1.3680043.8.498.77.{slice_}" for slice_ in range(3)}
        for group in groups:
            (image,) = group.ReferencedInstanceSequence
            files = [plane.file for plane in find_series(source).planes[phase]]
            assert (group.SeriesInstanceUID, image.ReferencedSOPInstanceUID) in {
                (file.series_uid, file.sop_uid) for file in files
            }


@pytest.mark.parametrize("kind", ["position_jitter", "uneven_step", "phase_missing"])
def test_uneven_positions(cases, card, tmp_path, kind):
    labels, paths, _ = made(cases / f"dicom_{kind}" / "study", card, tmp_path)
    data = labels.data.reshape(-1, *labels.data.shape[-3:])
    for codes, path in zip(data, paths, strict=True):
        check_places(path, codes, labels, slack=0.06)


def test_dcmqi_reads_enhanced_files(cases, card, tmp_path):
    labels, paths, _ = made(cases / "enhanced_multi_frame" / "study", card, tmp_path)
    check_with_dcmqi(paths[0], labels.frame(0), tmp_path)
