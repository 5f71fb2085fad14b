"""DICOM series on the command line: choice and notes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from napari_flomo.volumes import read

Flomo = Callable[..., tuple[str, str]]
Refused = Callable[..., str]


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
    cases: Path, model: Path, tmp_path: Path, flomo: Flomo, place: str, *, frames: int, note: str
) -> None:
    out = tmp_path / "l.nii.gz"
    flags = ["--model", model, "--device", "cpu", "--json", "-q", "--frames", 0, "--slices", 1]
    printed, said = flomo("segment", cases / place, "-o", out, *flags)
    image = read(cases / place)
    notes = json.loads(printed)["manifest"]["input"]["notes"]
    assert notes == list(image.notes)
    assert said == "".join(f"Note: {sentence}\n" for sentence in notes)
    assert note in said
    labels = read(out)
    assert labels.n_frames == frames
    assert labels.geometry.same_space(image.geometry, 1e-4)


def test_choose_series(
    two: Path, model: Path, tmp_path: Path, flomo: Flomo, refused: Refused
) -> None:
    out = tmp_path / "l.nii.gz"
    flags = ["-o", out, "--model", model, "--device", "cpu", "-q", "--slices", 1]
    said = refused("segment", two, *flags)
    assert "5 'static SA' (MR, 3 images of 112 x 112), 300 (MR, 9 images of 112 x 112)" in said
    assert "--series" in said
    assert not out.exists()
    for wanted in ("5", "Static sa", "1.2.3.4"):
        flomo("segment", two, *flags, "--series", wanted)
        assert read(out).data.shape == (3, 112, 112)
        out.unlink()
    assert "no series 6" in refused("segment", two, *flags, "--series", "6")


def test_segment_many_with_series(
    two: Path, cases: Path, model: Path, tmp_path: Path, flomo: Flomo
) -> None:
    (tmp_path / "in").mkdir()
    shutil.move(two, tmp_path / "in" / "p1")
    shutil.copytree(cases / "_clean" / "cine", tmp_path / "in" / "p2")
    out = tmp_path / "out"
    given = ["segment-many", tmp_path / "in", "--out", out, "--model", model, "--device", "cpu"]
    flomo(*given, "--workers", 1, "-q", "--series", "static sa")
    (row,) = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert row["study"] == "p1"
    labels = read(out / "studies" / "p1" / "labels.nii.gz")
    assert labels.data.shape == (3, 112, 112)
    said = flomo(*given, "--workers", 1, "-q", code=2)[1]
    assert "begun with static sa of DICOM folders" in said


def test_stripped_series(cases: Path, model: Path, tmp_path: Path, flomo: Flomo) -> None:
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    study = cases / "dicomseg_empty_tags_removed" / "no_patient"
    labels = tmp_path / "l.nii.gz"
    flags = ["--model", model, "--device", "cpu", "-q", "--dicom-seg", tmp_path / "s.dcm"]
    said = flomo("segment", study, "-o", labels, *flags)
    assert "Note: The images lack " in said[1]
    assert "TEST" not in "".join(said)
    assert pydicom.dcmread(tmp_path / "s.dcm").PatientID == ""
    arguments = ["--images", study, "--model", model, "-o", tmp_path / "again.dcm", "-q"]
    assert "Note: The images lack " in flomo("dicom-seg", labels, *arguments)[1]
