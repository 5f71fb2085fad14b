"""Find studies below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import MARKER, StudyFilter, find_studies

Grow = Callable[..., Path]


def ids(root: Path, **study_filter: Any) -> list[str]:
    return [study.id for study in find_studies(root, StudyFilter(**study_filter))]


def test_volume_files(grow: Grow) -> None:
    root = grow("b.nrrd", "a.nii.gz", "x/c.NII", "x/d.mha", "x/y/e.nhdr", "f.mhd", "e.raw")
    grow("notes.txt", "table.csv", "photo.png", ".hidden.nii.gz", "._a.nii.gz", ".git/a.nii")
    assert ids(root) == ["a.nii.gz", "b.nrrd", "f.mhd", "x/c.NII", "x/d.mha", "x/y/e.nhdr"]


def test_ids_are_stable(grow: Grow) -> None:
    root = grow("a.nii.gz", "p/a.nii")
    before = set(ids(root))
    grow("a.nrrd", "a.nii", "p/a.nii.gz", "a/b.nii")
    assert before < set(ids(root))
    assert len(ids(root)) == len(set(ids(root))) == 6


def test_folders_with_dicom_files_are_series(grow: Grow, dicom: bytes) -> None:
    root = grow("p1/s1/IM0001", "p1/s1/IM0002", "p1/s2/1.2.840.7", "DICOMDIR", content=dicom)
    grow("p2/1.dcm", "p1/LICENSE", "p1/report.pdf", "p3/README", "p3/data.bin", "p1/s1/a.nii")
    found = {study.id: study.series for study in find_studies(root)}
    assert found == {"p1/s1": True, "p1/s2": True, "p2": True, "p1/s1/a.nii": False}


def test_folder_is_a_series(grow: Grow, dicom: bytes) -> None:
    root = grow("1", "2", content=dicom)
    assert ids(root) == ["."]


def test_labels_are_skipped(grow: Grow) -> None:
    root = grow("a.nii.gz", "a_gt.nii.gz", "labels.nii.gz", "Uncertainty.nrrd", "b-label.nrrd")
    grow("b.seg.nrrd", "b_mask.nii")
    similar = ["gt200.nii.gz", "masked.nii", "mosaic.nii.gz", "segment.nii.gz", "unlabelled.nii.gz"]
    grow(*similar)
    reported: list[tuple[str, str]] = []
    found = find_studies(root, on_skip=lambda *one: reported.append(one))
    assert [study.id for study in found] == ["a.nii.gz", *similar]
    assert ("a_gt.nii.gz", "named like labels") in reported
    assert len(reported) == 6
    assert ids(root, patterns=["a*"]) == ["a.nii.gz", "a_gt.nii.gz"]


def test_patterns_match_the_whole_path(grow: Grow) -> None:
    root = grow("p1/sa.nii.gz", "p1/la.nii.gz", "p2/sa.nii.gz", "sa.nii.gz")
    assert ids(root, patterns=["p*/sa.nii.gz"]) == ["p1/sa.nii.gz", "p2/sa.nii.gz"]
    assert ids(root, exclude=["p1/*", "*la*"]) == ["sa.nii.gz", "p2/sa.nii.gz"]
    assert ids(root, patterns=["p1/*", "sa*"], exclude=["*/la*"]) == ["sa.nii.gz", "p1/sa.nii.gz"]


def test_photos(grow: Grow, dicom: bytes) -> None:
    root = grow("a.png", "b.JPG", "c.tiff", "d.nii.gz")
    grow("s/1.dcm", content=dicom)
    assert ids(root, kind="photo") == ["a.png", "b.JPG", "c.tiff"]


def test_results_are_skipped(grow: Grow) -> None:
    root = grow("a.nii.gz", "out/studies/a.nii.gz/labels.nii.gz", "out/other.nii.gz")
    assert "out/other.nii.gz" in ids(root)
    grow(f"out/{MARKER}")
    assert ids(root) == ["a.nii.gz"]
    grow(MARKER)
    with pytest.raises(FlomoError, match="holds results"):
        ids(root)


def test_links(grow: Grow, tmp_path: Path) -> None:
    root = grow("p/a.nii.gz", "q/b.nii.gz")
    elsewhere = grow("c.nii.gz", "deep/d.nii.gz", folder="elsewhere")
    (root / "p" / "up").symlink_to(root)
    (root / "p" / "sideways").symlink_to(root / "q")
    (root / "around").symlink_to(tmp_path)
    (root / "self").symlink_to("self")
    (root / "gone.nii.gz").symlink_to("nowhere")
    (root / "out").symlink_to(elsewhere)
    (root / "out again").symlink_to(elsewhere / "deep")
    (elsewhere / "back").symlink_to(root / "p")
    (root / "file.nii.gz").symlink_to(elsewhere / "c.nii.gz")
    expected = ["file.nii.gz", "gone.nii.gz", "out/c.nii.gz", "out/deep/d.nii.gz"]
    assert ids(root) == [*expected, "p/a.nii.gz", "q/b.nii.gz"]


def test_unreadable_folder(grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grow("a.nii.gz", "closed/b.nii.gz")
    scandir = os.scandir

    def refuse(place: str) -> Any:
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    assert ids(root) == ["a.nii.gz", "closed"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="no folder"):
        ids(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(FlomoError, match="no folder"):
        ids(tmp_path / "file")
