"""``--slice-axis``, for images with an ambiguous slice axis."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.volumes import Geometry, Volume, read, write

Flomo = Callable[..., tuple[str, str]]


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    """A file of the same steps and nearly the same lengths along all axes."""
    data = np.random.default_rng(0).integers(0, 300, (40, 36, 44), np.int16)
    path = tmp_path / "studies" / "cube.nrrd"
    path.parent.mkdir()
    write(Volume(data, Geometry((1.5, 1.5, 1.5))), path)
    return path


def test_one_image(
    cube: Path, tmp_path: Path, model: Path, flomo: Flomo, refused: Callable[..., str]
) -> None:
    out = tmp_path / "labels.nrrd"
    arguments = ["segment", cube, "-o", out, "--model", model, "--slices", "0,35"]
    said = refused(*arguments)
    assert "i has 44 samples of 1.5 mm, j has 36 samples" in said
    assert "--slice-axis" in said
    assert not out.exists()
    printed, said = flomo(*arguments, "--slice-axis", "j", "--json")
    assert said == ""
    report = json.loads(printed)
    assert report["manifest"]["input"]["slice_axis"] == "j"
    assert len(report["slice_scores"][0]) == 36
    labels = read(out)
    assert labels.data.shape == (40, 36, 44)
    assert labels.data[:, [0, 35]].any()
    assert not labels.data[:, 1:35].any()


def test_reoriented_image_is_noted(tmp_path: Path, model: Path, flomo: Flomo) -> None:
    data = np.random.default_rng(0).integers(0, 300, (40, 44, 3), np.int16)
    write(Volume(data, Geometry((8.0, 1.5, 1.5))), tmp_path / "sideways.mha")
    out = tmp_path / "labels.mha"
    said = flomo("segment", tmp_path / "sideways.mha", "-o", out, "--model", model)[1]
    assert said.startswith("Note: The 3 slices lie along the axis i of the file, 8 mm apart")
    assert said.count("\n") == 1
    assert read(out).storage == (2, 0, 1)


def test_many(cube: Path, tmp_path: Path, model: Path, flomo: Flomo) -> None:
    data = np.random.default_rng(1).integers(0, 300, (2, 40, 44), np.int16)
    write(Volume(data, Geometry((1.5, 1.5, 8.0))), cube.parent / "usual.nrrd")
    out = tmp_path / "out"
    arguments = ["segment-many", cube.parent, "--out", out, "--model", model, "--workers", 1, "-q"]
    flomo(*arguments, code=3)
    usual = out / "studies" / "usual.nrrd" / "labels.nii.gz"
    before = usual.stat().st_mtime_ns
    flomo(*arguments, "--slice-axis", "j")
    assert usual.stat().st_mtime_ns == before  # what was clear is not done again
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as table:
        assert [row["state"] for row in csv.DictReader(table)] == ["done", "done"]
    assert read(out / "studies" / "cube.nrrd" / "labels.nii.gz").data.shape == (40, 36, 44)
