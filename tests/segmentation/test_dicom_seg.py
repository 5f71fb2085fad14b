"""DICOM segmentations, read back by position and by highdicom."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed")

import highdicom
import pydicom
from dicom_masks import by_position, check_with_dcmqi, labels_of, segment_numbers
from pydicom.uid import generate_uid

from napari_flomo.errors import FlomoError
from napari_flomo.files import write_all
from napari_flomo.models import Concept
from napari_flomo.segmentation import dicom_seg, dicom_seg_files
from napari_flomo.segmentation.dicom_seg import check_usable
from napari_flomo.volumes import Geometry, Volume, find_series, read, write


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 900, (2, 4, 12, 16)).astype(np.int16)


@pytest.fixture
def cine(tmp_path, images, write_series):
    write_series(tmp_path / "cine", images)
    return tmp_path / "cine"


@pytest.fixture
def stack(tmp_path, images, write_series):
    write_series(tmp_path / "stack", images[:1])
    return tmp_path / "stack"


def by_hand(path: Path, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Return segment numbers by position, after checking spacing and directions."""
    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0]
    spacing = [float(step) for step in shared.PixelMeasuresSequence[0].PixelSpacing]
    assert np.allclose(spacing, geometry.spacing[1::-1])
    directions = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    assert np.allclose(directions.reshape(2, 3).T, geometry.direction_matrix[:, :2], atol=1e-5)
    return by_position(path, geometry, shape, slack=1e-3)


def test_a_stack(stack, card, tmp_path):
    labels = labels_of(stack)
    write_all(dicom_seg_files(labels, card, stack, tmp_path / "heart.dcm"))
    found = pydicom.dcmread(tmp_path / "heart.dcm")
    assert np.array_equal(
        by_hand(tmp_path / "heart.dcm", labels.geometry, labels.data.shape),
        segment_numbers(labels.data),
    )
    image = pydicom.dcmread(find_series(stack).files[0][0])
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert found[name].value == image[name].value
    assert found.SeriesInstanceUID != image.SeriesInstanceUID
    assert found.Modality == "SEG"
    assert [one.SegmentLabel for one in found.SegmentSequence] == ["wall", "cavity"]
    assert {one.SegmentAlgorithmType for one in found.SegmentSequence} == {"AUTOMATIC"}
    (by,) = found.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert by.AlgorithmName == card.name
    colour = highdicom.color.CIELabColor.from_dicom_value(
        found.SegmentSequence[0].RecommendedDisplayCIELabValue
    )
    assert np.abs(np.subtract(colour.to_rgb(), (0x2C, 0xA0, 0x2C))).max() <= 1
    read_back = highdicom.seg.segread(tmp_path / "heart.dcm")
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in find_series(stack).files[0]]
    masks = read_back.get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(masks, segment_numbers(labels.data)), "each mask refers to its own image"


def test_dcmqi(stack, card, tmp_path):
    labels = labels_of(stack)
    write_all(dicom_seg_files(labels, card, stack, tmp_path / "s.dcm"))
    check_with_dcmqi(tmp_path / "s.dcm", labels, tmp_path)


def test_cine(cine, card, tmp_path):
    labels = labels_of(cine)
    jobs = dicom_seg_files(labels, card, cine, tmp_path / "heart.dcm")
    assert [Path(path).name for path, _ in jobs] == ["heart-frame-00.dcm", "heart-frame-01.dcm"]
    write_all(jobs)
    for frame, (path, _) in enumerate(jobs):
        back = by_hand(Path(path), labels.geometry, labels.data.shape[1:])
        assert np.array_equal(back, segment_numbers(labels.data[frame]))
        assert pydicom.dcmread(path).InstanceNumber == frame + 1
    ((path, _),) = dicom_seg_files(labels, card, cine, tmp_path / "one.dcm", frames=[1])
    assert Path(path).name == "one-frame-01.dcm"


def test_corrected_labels_and_coded_terms(stack, card, tmp_path):
    wall, cavity = card.labels[1:]
    known = replace(cavity, snomed=Concept("87878005", "Left ventricle"))
    card = replace(card, labels=(card.labels[0], wall, known))
    write_all(dicom_seg_files(labels_of(stack), card, stack, tmp_path / "s.dcm", corrected=True))
    first, second = pydicom.dcmread(tmp_path / "s.dcm").SegmentSequence
    assert first.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    kind = second.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("87878005", "SCT")
    assert second.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == "Anatomical Structure"


def test_empty_labels(stack, card, tmp_path):
    labels = labels_of(stack)
    nothing = labels.with_data(np.zeros_like(labels.data))
    write_all(dicom_seg_files(nothing, card, stack, tmp_path / "s.dcm"))
    assert not by_hand(tmp_path / "s.dcm", labels.geometry, labels.data.shape).any()


def test_deidentified_series(tmp_path, images, write_series, card, capfd):
    """Dates of zeros, and a frame of reference for every image, as de-identification leaves them.

    What the libraries would say of it quotes the patient, so nothing is said.
    """
    folder = tmp_path / "series"
    write_series(
        folder,
        images[:1],
        PatientName="SCD0000101",
        PatientBirthDate="00000000",
        StudyDate="20120000",
        FrameOfReferenceUID=generate_uid,
    )
    labels = labels_of(folder)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        write_all(dicom_seg_files(labels, card, folder, tmp_path / "s.dcm"))
    assert said == []
    assert capfd.readouterr() == ("", "")
    back = by_hand(tmp_path / "s.dcm", labels.geometry, labels.data.shape)
    assert np.array_equal(back, segment_numbers(labels.data))


def test_wrong_grid(stack, cine, card):
    labels = labels_of(stack)
    moved = replace(labels.geometry, origin=(5.0, -40.0, 13.0))
    for wrong in (
        replace(labels, geometry=moved),
        Volume(labels.data[:3], labels.geometry),
        labels_of(cine),
    ):
        with pytest.raises(FlomoError, match="do not lie on the grid"):
            dicom_seg_files(wrong, card, stack, "s.dcm")


def test_unknown_codes(stack, card):
    labels = labels_of(stack)
    labels.data[0, 0, 0] = 3
    with pytest.raises(FlomoError, match=r"codes 3, which brightness does not know"):
        dicom_seg_files(labels, card, stack, "s.dcm")


def test_check_usable(tmp_path, images, write_series, card, cine):
    check_usable(read(cine), card, cine)
    with pytest.raises(FlomoError, match="no frame 2: the series has 2"):
        dicom_seg_files(labels_of(cine), card, cine, "s.dcm", frames=[0, 2])
    folder = tmp_path / "without"
    write_series(folder, images[:1, :1], ImagePositionPatient=None)
    with pytest.raises(FlomoError, match="do not say where they lie"):
        check_usable(read(folder), card, folder)
    write(labels_of(cine), tmp_path / "l.nii.gz")
    with pytest.raises(FlomoError, match="is not DICOM"):
        check_usable(read(cine), card, tmp_path / "l.nii.gz")
    assert not list(tmp_path.glob("*.dcm"))


def test_without_highdicom(stack, card, monkeypatch):
    monkeypatch.setattr(dicom_seg, "find_spec", lambda _name: None)
    with pytest.raises(FlomoError, match=r"pip install 'napari-flomo\[dicom\]'"):
        dicom_seg_files(labels_of(stack), card, stack, "s.dcm")


@pytest.mark.parametrize("moving", [False, True])
def test_labels_of_dcm2niix(moving, stack, cine, card, tmp_path):
    """It turns the rows round, and the slices where they run down; a NIfTI file rounds as well."""
    folder = cine if moving else stack
    labels = labels_of(folder)
    affine = labels.geometry.affine_lps()
    for axis in (1, 2):  # rows and slices
        affine[:3, 3] += affine[:3, axis] * (labels.data.shape[-1 - axis] - 1)
        affine[:3, axis] *= -1
    turned = replace(
        labels, data=labels.data[..., ::-1, ::-1, :], geometry=Geometry.from_affine_lps(affine)
    )
    write(turned, tmp_path / "turned.nii.gz")
    write_all(dicom_seg_files(read(tmp_path / "turned.nii.gz"), card, folder, tmp_path / "s.dcm"))
    frames = labels.data if moving else labels.data[None]
    for frame, codes in enumerate(frames):
        path = tmp_path / (f"s-frame-{frame:02}.dcm" if moving else "s.dcm")
        assert np.array_equal(by_hand(path, labels.geometry, codes.shape), segment_numbers(codes))
