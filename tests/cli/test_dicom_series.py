"""DICOM series on the command line: choice and notes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
import pytest

from napari_flomo import cli
from napari_flomo.volumes import read

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def cases(repository: Path) -> Path:
    return repository / "tests" / "fieldtests"


@pytest.fixture
def two(cases: Path, tmp_path: Path) -> Path:
    """A folder with a cine and a static series of the same heart."""
    folder = tmp_path / "two"
    shutil.copytree(cases / "_clean" / "cine", folder)
    for number, file in enumerate(sorted((cases / "_clean" / "static").iterdir())):
        one = pydicom.dcmread(file)
        one.SeriesInstanceUID, one.SeriesNumber = "1.2.3.4", 5
        one.SeriesDescription = "static SA"
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}"
        one.save_as(folder / f"static{number}")
    return folder


def flomo(*arguments: object) -> int:
    return cli.main([*map(str, arguments)])


@pytest.mark.parametrize(
    ("place", "frames", "note"),
    [
        ("dicom_series_for_each_slice/study", 3, "joined into one stack"),
        ("dicom_exported_twice/study", 3, "6 files are copies"),
        ("dicom_cd_nested/cd", 1, "folders below"),
        ("dicom_phase_missing/study", 2, "left out of all slices"),
        ("enhanced_multi_frame/one_file_for_each_slice", 2, ""),
        ("_clean/cine/IM0004.dcm", 3, "one of 9 of its series"),
    ],
)
def test_notes(
    cases: Path, model: Path, tmp_path: Path, capsys: Capture, place: str, *, frames: int, note: str
) -> None:
    out = tmp_path / "l.nii.gz"
    flags = ["--model", model, "--device", "cpu", "--json", "-q", "--frames", 0, "--slices", 1]
    assert flomo("segment", cases / place, "-o", out, *flags) == 0
    printed = capsys.readouterr()
    image = read(cases / place)
    notes = json.loads(printed.out)["manifest"]["input"]["notes"]
    assert notes == list(image.notes)
    assert printed.err == "".join(f"Note: {sentence}\n" for sentence in notes)
    assert note in printed.err
    labels = read(out)
    assert labels.n_frames == frames
    assert labels.geometry.same_space(image.geometry, 1e-4)


def test_choose_series(two: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "l.nii.gz"
    flags = ["-o", out, "--model", model, "--device", "cpu", "-q", "--slices", 1]
    assert flomo("segment", two, *flags) == 2
    said = capsys.readouterr().err
    assert "5 'static SA' (MR, 3 images of 112 x 112), 300 (MR, 9 images of 112 x 112)" in said
    assert "--series" in said
    assert not out.exists()
    for wanted in ("5", "Static sa", "1.2.3.4"):
        assert flomo("segment", two, *flags, "--series", wanted) == 0
        assert read(out).data.shape == (3, 112, 112)
        out.unlink()
    assert flomo("segment", two, *flags, "--series", "6") == 2
    assert "no series 6" in capsys.readouterr().err


def test_segment_many_with_series(
    two: Path, cases: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "in").mkdir()
    shutil.move(two, tmp_path / "in" / "p1")
    shutil.copytree(cases / "_clean" / "cine", tmp_path / "in" / "p2")
    out = tmp_path / "out"
    given = ["segment-many", tmp_path / "in", "--out", out, "--model", model, "--device", "cpu"]
    assert flomo(*given, "--workers", 1, "-q", "--series", "static sa") == 0
    (row,) = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert row["study"] == "p1"
    labels = read(out / "studies" / "p1" / "labels.nii.gz")
    assert labels.data.shape == (3, 112, 112)
    assert flomo(*given, "--workers", 1, "-q") == 2
    assert "begun with static sa of DICOM folders" in capsys.readouterr().err


def test_dicom_seg_of_a_stripped_series(
    cases: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    study = cases / "dicomseg_empty_tags_removed" / "no_patient"
    labels = tmp_path / "l.nii.gz"
    flags = ["--model", model, "--device", "cpu", "-q", "--dicom-seg", tmp_path / "s.dcm"]
    assert flomo("segment", study, "-o", labels, *flags) == 0
    said = capsys.readouterr()
    assert "Note: The images lack " in said.err
    assert "TEST" not in said.out + said.err
    assert pydicom.dcmread(tmp_path / "s.dcm").PatientID == ""
    arguments = ["--images", study, "--model", model, "-o", tmp_path / "again.dcm", "-q"]
    assert flomo("dicom-seg", labels, *arguments) == 0
    assert "Note: The images lack " in capsys.readouterr().err
