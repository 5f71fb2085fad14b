"""Structured reports, read back by highdicom and by dcmqi."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed")

import highdicom
import pydicom

from napari_flomo import DEFAULT_MODEL, cli
from napari_flomo.errors import FlomoError
from napari_flomo.files import write_all
from napari_flomo.measures import measure_study
from napari_flomo.models import load_card, locate
from napari_flomo.reports import Report, structured_report_file, structured_report_files
from napari_flomo.volumes import find_series, read, write

RADII = (10, 14, 7)
"""Of the cavity in each frame: end systole is the last, end diastole the second."""


@pytest.fixture
def cine(tmp_path, write_series):
    """A series of three frames."""
    images = np.random.default_rng(1).integers(0, 900, (3, 4, 64, 64)).astype(np.int16)
    write_series(tmp_path / "cine", images)
    return tmp_path / "cine"


@pytest.fixture
def report(cine):
    """Labels of both ventricles and the wall, in a person of 2 m2."""
    image, card = read(cine), load_card(locate(DEFAULT_MODEL))
    data = np.zeros(image.data.shape, np.uint8)
    row, column = np.indices((64, 64))
    for frame, radius in enumerate(RADII):
        data[frame, 1:3, abs(row - 32) + abs(column - 8) <= radius // 2] = 1
        data[frame, 1:3, np.hypot(row - 32, column - 36) <= radius + 6] = 2
        data[frame, 1:3, np.hypot(row - 32, column - 36) <= radius] = 3
    labels = image.with_data(data)
    measures = measure_study(labels, card.labels, height_cm=180, weight_kg=80)
    return Report(measures, [labels], card.labels, [image], card, patient="Typed in")


@pytest.fixture
def written(report, cine, tmp_path):
    """The structured report as file, beside its segmentations."""
    write_all(structured_report_files(report, tmp_path / "sr.dcm", [cine]))
    return tmp_path / "sr.dcm"


def numbers_of(report):
    """Return the measures that must be in a structured report, by code and unit."""
    heart = report.measures.heart
    left, right = heart.left, heart.right
    found = {
        ("8821-1", "ml"): left.edv_ml,
        ("8823-7", "ml"): left.esv_ml,
        ("8822-9", "ml"): right.edv_ml,
        ("8824-5", "ml"): right.esv_ml,
        ("18087-7", "g"): heart.mass_g,
    }
    found |= {(code, f"{unit}/m2"): value / 2 for (code, unit), value in found.items()}
    return found | {("8811-2", "%"): left.ef_percent, ("8818-7", "%"): right.ef_percent}


def test_measures_refer_to_segments(report, written, cine):
    content = highdicom.sr.srread(written).content
    expected, found = numbers_of(report), {}
    segments = {}
    for file in written.parent.glob("sr-seg-frame-*.dcm"):
        one = pydicom.dcmread(file)
        for segment in one.SegmentSequence:
            key = (one.SOPInstanceUID, segment.SegmentNumber)
            segments[key] = f"{segment.SegmentLabel}, frame {int(file.stem[-2:])}"
    phases = {"end diastole": 1, "end systole": 2}
    groups = content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 6
    for group in groups:
        reference = group.referenced_segment[0]
        key = (reference.referenced_sop_instance_uid, reference.referenced_segment_numbers[0])
        structure, phase = str(group.tracking_identifier).split(", ")
        assert segments[key] == f"{structure}, frame {phases[phase]}"
    for group in [*groups, *content.get_image_measurement_groups()]:
        for one in group.get_measurements():
            found[one.name.value, one.unit.value] = one.value
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=0.006), key
    assert found["8277-6", "m2"] == pytest.approx(2)


def test_patient_and_evidence_are_those_of_the_images(written, cine):
    made = pydicom.dcmread(written)
    image = pydicom.dcmread(find_series(cine).files[0][0])
    for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate"):
        assert made[name].value == image[name].value
    assert b"Typed in" not in written.read_bytes()
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    listed = {
        one.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    used = [file for frame in find_series(cine).files[1:] for file in frame]
    used += written.parent.glob("sr-seg-*.dcm")
    assert listed == {pydicom.dcmread(file).SOPInstanceUID for file in used}
    assert "gaps between slices are included" in str(made.ContentSequence[-1].TextValue)


def test_dcmqi_reads_the_same(report, written, tmp_path):
    program = shutil.which("tid1500reader", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("dcmqi is not installed")
    out = tmp_path / "sr.json"
    arguments = [program, "--inputDICOM", written, "--outputMetadata", out]
    subprocess.run(arguments, check=True, capture_output=True)
    groups = json.loads(out.read_text())["Measurements"]
    found = {
        (one["quantity"]["CodeValue"], one["units"]["CodeValue"]): float(one["value"])
        for group in groups
        for one in group["measurementItems"]
    }
    for key, value in numbers_of(report).items():
        assert found[key] == pytest.approx(value, abs=0.006), key
    first = groups[0]
    assert first["Finding"]["CodeMeaning"] == "Right ventricle"
    assert first["ReferencedSegment"] == 1


def test_report_of_segmentations_on_the_command_line(report, written, cine, tmp_path, capsys):
    """Frames without a segmentation are not measured; --image may be left out beside the images."""
    for file in tmp_path.glob("sr-seg-*.dcm"):
        shutil.copy(file, cine)
    outputs = [tmp_path / "again.dcm", tmp_path / "again.json", tmp_path / "again.pdf"]
    options = ["--height", "180", "--weight", "80", "-o", outputs[1], "-o", outputs[2]]
    assert cli.main(["report", *map(str, [cine, "--sr", outputs[0], *options])]) == 0
    content = json.loads(outputs[1].read_text())
    heart = report.measures.heart
    assert content["heart"]["left_ventricle"]["edv_ml"] == pytest.approx(heart.left.edv_ml)
    assert content["heart"]["phases"]["left"] == {"ED": 1, "ES": 2, "pinned": []}
    assert {one["frame"] for one in content["structures"]} == {1, 2}
    first, second = (
        {
            (str(group.tracking_identifier), one.name.value, one.unit.value): one.value
            for group in highdicom.sr.srread(path).content.get_volumetric_roi_measurement_groups()
            for one in group.get_measurements()
        }
        for path in (written, outputs[0])
    )
    assert first == second
    assert cli.main(["report", str(cine), "--ed", "0", "--sr", str(outputs[0])]) == 2
    assert "no DICOM segmentation of frame 0" in capsys.readouterr().err


def test_labels_of_a_file_need_their_model(report, cine, tmp_path, capsys):
    write(report.labels[0], tmp_path / "labels.nii.gz")
    arguments = ["report", tmp_path / "labels.nii.gz", "--image", cine, "--sr", tmp_path / "s.dcm"]
    assert cli.main([*map(str, arguments)]) == 2
    assert "--model" in capsys.readouterr().err
    assert cli.main([*map(str, [*arguments, "--model", DEFAULT_MODEL])]) == 0
    segment = pydicom.dcmread(tmp_path / "s-seg-frame-01.dcm").SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC", "a person may have edited the file"


def test_a_missing_segmentation(report, tmp_path):
    with pytest.raises(FlomoError, match="no DICOM segmentation of right ventricle in frame 2"):
        structured_report_file(report, {}, tmp_path / "sr.dcm")


def test_images_with_invalid_uids(report, cine, tmp_path):
    for number, file in enumerate(cine.iterdir()):
        one = pydicom.dcmread(file)
        one.SOPInstanceUID = f"1.2.03.{number}"
        one.save_as(file)
    notes = []
    write_all(structured_report_files(report, tmp_path / "sr.dcm", [cine], note=notes.append))
    assert len(highdicom.sr.srread(tmp_path / "sr.dcm").content) == 1
    assert "UIDs that DICOM does not allow" in notes[-1]


def test_other_modalities_and_structures(report, cine, tmp_path):
    """Codes of MR are for MR; what is no heart has volumes."""
    for file in cine.iterdir():
        one = pydicom.dcmread(file)
        one.Modality, one.SOPClassUID = "US", pydicom.uid.UltrasoundImageStorage
        one.save_as(file)
    write_all(structured_report_files(report, tmp_path / "us.dcm", [cine]))
    groups = highdicom.sr.srread(tmp_path / "us.dcm").content.get_image_measurement_groups()
    codes = {one.name.value for group in groups for one in group.get_measurements()}
    assert codes == {"70822001", "90096001", "8277-6"}
    names = [label for label in report.names if label.code in (0, 2)]
    wall = replace(report, names=names, measures=measure_study(report.labels[0], names))
    write_all(structured_report_files(wall, tmp_path / "wall.dcm", [cine]))
    (group,) = highdicom.sr.srread(
        tmp_path / "wall.dcm"
    ).content.get_volumetric_roi_measurement_groups()
    assert [one.name.value for one in group.get_measurements()] == ["118565006"]
