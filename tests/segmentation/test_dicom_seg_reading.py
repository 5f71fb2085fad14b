"""DICOM segmentations read as labels: our own, and those of dcmqi."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed")

import pydicom
from dicom_masks import labels_of, segment_numbers

from napari_flomo.errors import FlomoError
from napari_flomo.files import write_all
from napari_flomo.segmentation import dicom_seg_files, find_dicom_segs, read_dicom_segs
from napari_flomo.volumes import read, write


@pytest.fixture
def make_series(tmp_path, write_series):
    """Write a series of some frames."""

    def make(name, frames):
        images = np.random.default_rng(1).integers(0, 900, (frames, 4, 12, 16)).astype(np.int16)
        write_series(tmp_path / name, images)
        return tmp_path / name

    return make


@pytest.mark.parametrize("frames", [1, 3])
def test_labels_come_back(frames, make_series, card, tmp_path):
    series = make_series("series", frames)
    labels = labels_of(series)
    chosen = [0] if frames == 1 else [0, 2]
    write_all(dicom_seg_files(labels, card, series, series / "heart.dcm", frames=chosen))
    segs = find_dicom_segs(series)  # beside the images
    found = read_dicom_segs(segs, series)
    assert found.frames == tuple(chosen)
    assert found.labels.geometry.same_space(labels.geometry)
    expected = segment_numbers(labels.data)
    if frames > 1:
        expected[1] = 0
    assert np.array_equal(found.labels.data, expected)
    assert [label.name for label in found.names[1:]] == ["wall", "cavity"]
    assert [frame for frame, _ in found.objects] == chosen
    assert {label.snomed for label in found.names} == {None}, "the card has no terms"
    colour = bytes.fromhex(found.names[1].colour[1:])
    assert np.abs(np.subtract(list(colour), (0x2C, 0xA0, 0x2C))).max() <= 1


def test_segments_in_files_of_their_own(make_series, card, tmp_path):
    """Numbers of segments mean nothing across files; their names do."""
    series = make_series("series", 1)
    labels = labels_of(series)
    for name, code in (("a", 200), ("b", 7)):
        data = np.where(labels.data == code, code, 0).astype(np.uint8)
        write_all(dicom_seg_files(labels.with_data(data), card, series, tmp_path / f"{name}.dcm"))
        dataset = pydicom.dcmread(tmp_path / f"{name}.dcm")
        kept = 1 if code == 7 else 2
        dataset.SegmentSequence = [dataset.SegmentSequence[kept - 1]]
        dataset.SegmentSequence[0].SegmentNumber = 1
        for groups in dataset.PerFrameFunctionalGroupsSequence:
            groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1
        dataset.save_as(tmp_path / f"{name}.dcm")
    found = read_dicom_segs([tmp_path / "a.dcm", tmp_path / "b.dcm"], series)
    codes = {label.name: label.code for label in found.names}
    for name, code in (("wall", 7), ("cavity", 200)):
        assert np.array_equal(found.labels.data == codes[name], labels.data == code)


def test_a_segmentation_of_dcmqi(make_series, tmp_path):
    """It shares no code with highdicom."""
    program = shutil.which("itkimage2segimage", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("dcmqi is not installed")
    series = make_series("series", 1)
    image = read(series)
    mask = image.with_data(np.zeros(image.data.shape, np.uint8))
    mask.data[1:3, 2:9, 3:11] = 1
    write(mask, tmp_path / "mask.nrrd")
    concept = {"CodingSchemeDesignator": "SCT"}
    segment = {
        "labelID": 1,
        "SegmentLabel": "left ventricle",
        "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyCategoryCodeSequence": concept
        | {"CodeValue": "123037004", "CodeMeaning": "Anatomical Structure"},
        "SegmentedPropertyTypeCodeSequence": concept
        | {"CodeValue": "87878005", "CodeMeaning": "Left ventricle"},
    }
    about = {"ContentCreatorName": "Reader", "SeriesNumber": "9", "InstanceNumber": "1"}
    (tmp_path / "about.json").write_text(json.dumps(about | {"segmentAttributes": [[segment]]}))
    options = {
        "--inputImageList": tmp_path / "mask.nrrd",
        "--inputDICOMDirectory": series,
        "--inputMetadata": tmp_path / "about.json",
        "--outputDICOM": tmp_path / "seg.dcm",
    }
    arguments = [part for pair in options.items() for part in map(str, pair)]
    subprocess.run([program, *arguments], check=True, capture_output=True)
    found = read_dicom_segs([tmp_path / "seg.dcm"], series)
    assert np.array_equal(found.labels.data, mask.data)
    assert found.names[1].snomed.code == "87878005"


def test_other_series_and_files(make_series, card, tmp_path):
    series, cine = make_series("series", 1), make_series("cine", 2)
    write_all(dicom_seg_files(labels_of(series), card, series, tmp_path / "seg.dcm"))
    segs = find_dicom_segs(tmp_path / "seg.dcm")
    with pytest.raises(FlomoError, match="refers to no frame of the cine"):
        read_dicom_segs(segs, cine)
    dataset = pydicom.dcmread(segs[0])
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        groups.PlanePositionSequence[0].ImagePositionPatient[0] += 3
    dataset.save_as(segs[0])
    with pytest.raises(FlomoError, match="does not lie on the pixels"):
        read_dicom_segs(segs, series)
    segs[0].write_bytes(segs[0].read_bytes()[:-100])
    with pytest.raises(FlomoError, match="cannot be read as a DICOM segmentation"):
        read_dicom_segs(segs, series)
    assert find_dicom_segs(series) == find_dicom_segs(tmp_path / "nothing") == []
