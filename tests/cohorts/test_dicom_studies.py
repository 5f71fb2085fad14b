"""Find DICOM series below a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from napari_flomo.cohorts import StudyFilter, find_studies
from napari_flomo.cohorts.inputs import read_input
from napari_flomo.volumes import Study, read, read_series


def spread(cases: Path, root: Path, **changes: Any) -> None:
    """Put each slice into its own folder, as an export by series does."""
    files = sorted((cases / "dicom_series_for_each_slice" / "study").iterdir())
    for number, file in enumerate(files):
        folder = root / f"SE{number // 3}"
        folder.mkdir(parents=True, exist_ok=True)
        one = pydicom.dcmread(file)
        for keyword, value in changes.items():
            setattr(one, keyword, value(number // 3))
        one.save_as(folder / f"IM{number}")


def test_series_for_each_slice(cases: Path, tmp_path: Path) -> None:
    spread(cases, tmp_path / "p1")
    shutil.copytree(cases / "_clean" / "static", tmp_path / "p1" / "other")
    shutil.copytree(cases / "dicom_cd_nested" / "cd", tmp_path / "p2")
    (tmp_path / "p1" / "SE1" / "notes.nii.gz").touch()
    found = list(find_studies(tmp_path))
    joined = Study("p1/SE0", series=True, parts=("p1/SE1", "p1/SE2"))
    assert found == [
        joined,
        Study("p1/SE1/notes.nii.gz"),
        Study("p1/other", series=True),
        Study("p2/PT000000/ST000000/SE000000", series=True),
    ]
    volume = read_series(joined.paths(tmp_path))
    clean = read(cases / "_clean" / "cine")
    np.testing.assert_array_equal(volume.data, clean.data)
    assert volume.geometry == clean.geometry
    reported = read_input(joined, tmp_path)
    assert reported.files == 10  # with the other file in the folder
    (tmp_path / "p1" / "SE2" / "IM8").write_bytes(b"changed")
    assert read_input(joined, tmp_path).stamp != reported.stamp


@pytest.mark.parametrize(
    "changes",
    [
        {"SeriesDescription": lambda slice_: ("cine", "lge", "t1")[slice_]},
        {"StudyInstanceUID": lambda slice_: f"1.2.{slice_}"},
        {"ImageOrientationPatient": lambda s: np.roll(np.eye(3), s, 0)[:2].ravel().tolist()},
        {"ImagePositionPatient": lambda _slice: [1, 2, 3]},
    ],
)
def test_series_that_are_no_stack(cases: Path, tmp_path: Path, changes: Any) -> None:
    spread(cases, tmp_path, **changes)
    found = [(study.id, study.parts) for study in find_studies(tmp_path)]
    assert found == [("SE0", ()), ("SE1", ()), ("SE2", ())]


def test_only_studies_with_a_series(cases: Path, tmp_path: Path) -> None:
    spread(cases, tmp_path / "p1", SeriesDescription=lambda slice_: f"SAX b{slice_}")
    shutil.copytree(cases / "_clean" / "static", tmp_path / "p2")
    (tmp_path / "p3.nii.gz").touch()
    reported: list[tuple[str, str]] = []
    study_filter = StudyFilter(series="sax b1")
    found = list(find_studies(tmp_path, study_filter, lambda *one: reported.append(one)))
    assert [study.id for study in found] == ["p3.nii.gz", "p1/SE0"]
    assert reported == [("p2", "no series sax b1")]
    found = list(find_studies(tmp_path, StudyFilter(series="300")))
    assert [study.id for study in found] == ["p3.nii.gz", "p2"]
