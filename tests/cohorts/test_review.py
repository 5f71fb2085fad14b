"""The review queue of a cohort."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.cohorts import StudyResult
from napari_flomo.cohorts.review import write_review
from napari_flomo.errors import FlomoError


def result(study: str, voxels: list[list[float | None]], **more: Any) -> StudyResult:
    known = {"input": {"spacing_mm": [1.5, 2.0, 10.0], "spacing_known": True}}
    return StudyResult(study, 1, "done", **{"manifest": known, "expected_voxels": voxels, **more})


def queue(out: Path) -> list[dict[str, str]]:
    with (out / "review.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_order(tmp_path: Path) -> None:
    photo = {"input": {"spacing_mm": [1.0, 1.0, 1.0], "spacing_known": False}}
    results = [
        result(
            "a/cine.nii.gz",
            [[10.0, None, 2.5], [40.0, 10.0, 0.0]],
            expected_dice=[[0.9, None, None], [0.25, 0.95, None]],
        ),
        result("b,\udcff.png", [[30.0, 7.5]], manifest=photo, expected_dice=[[0.5, 0.75]]),
        StudyResult("broken.nii", 1, "failed", error="It is broken."),
    ]
    assert write_review(tmp_path, results) == 0
    lines = queue(tmp_path)
    assert [int(line["rank"]) for line in lines] == list(range(1, 8))
    cine, photo_name = "a/cine.nii.gz", "b,\\udcff.png"
    assert [
        (line["study"], int(line["frame"]), int(line["slice"]), line["expected_wrong_voxels"])
        for line in lines
    ] == [
        (cine, 1, 0, "40"),
        (photo_name, 0, 0, "30"),
        (cine, 0, 0, "10"),  # among equals the order of studies, frames and slices
        (cine, 1, 1, "10"),
        (photo_name, 0, 1, "7.5"),
        (cine, 0, 2, "2.5"),
        (cine, 1, 2, "0"),
    ]
    shares = [float(line["share_so_far"]) for line in lines]
    assert shares == [0.4, 0.7, 0.8, 0.9, 0.975, 1.0, 1.0]
    assert [line["expected_wrong_ml"] for line in lines[:3]] == ["1.2", "", "0.3"]
    least = [line["expected_dice_min"] for line in lines]
    assert least == ["0.2500", "0.5000", "0.9000", "0.9500", "0.7500", "", ""]


def test_results_of_an_older_version(tmp_path: Path) -> None:
    results = [result("new.nii", [[3.0]]), StudyResult("old.nii", 1, "done", slice_scores=[[0.4]])]
    assert write_review(tmp_path, results) == 1
    assert [line["study"] for line in queue(tmp_path)] == ["new.nii"]
    again = StudyResult.from_line(results[0].to_line())
    assert again is not None
    assert again.expected_voxels == [[3.0]]


@pytest.mark.parametrize("results", [[], [result("a.nii", [[0.0, 0.0]])]])
def test_no_wrong_voxels(tmp_path: Path, results: list[StudyResult]) -> None:
    assert write_review(tmp_path, results) == 0
    assert [line["share_so_far"] for line in queue(tmp_path)] == [""] * 2 * len(results)


def test_atomic_write(tmp_path: Path) -> None:
    write_review(tmp_path, [result("a.nii", [[1.0]])])
    before = (tmp_path / "review.csv").read_bytes()

    def torn() -> Any:
        yield result("b.nii", [[2.0]])
        raise FlomoError("The manifest cannot be read.")

    with pytest.raises(FlomoError):
        write_review(tmp_path, torn())
    assert (tmp_path / "review.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["review.csv"]
