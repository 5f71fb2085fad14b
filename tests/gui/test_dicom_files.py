"""DICOM into napari: one layer for a series, however its files come."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari_flomo.volumes import Volume, read
from napari_flomo.volumes.dicom.series import SeveralSeries
from napari_flomo.widgets import reader, series_dialog
from napari_flomo.widgets.layers import KEY
from napari_flomo.widgets.reader import get_reader, read_layers

PLUGIN = "napari-flomo"


@pytest.fixture
def cases(repository: Path) -> Path:
    return repository / "tests" / "fieldtests"


@pytest.fixture
def study(cases: Path, tmp_path: Path) -> Path:
    """The clean cine in a folder that no other test has opened."""
    return Path(shutil.copytree(cases / "_clean" / "cine", tmp_path / "study"))


@pytest.fixture
def cine(cases: Path) -> Volume:
    return read(cases / "_clean" / "cine")


def paths_in(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.iterdir())


def test_files_that_are_dropped_together(
    open_viewer: Callable[..., Any], study: Path, cine: Volume
) -> None:
    viewer = open_viewer()
    (layer,) = viewer.open(paths_in(study), plugin=PLUGIN)
    np.testing.assert_array_equal(layer.data, cine.data)
    (again,) = viewer.open(paths_in(study)[4], plugin=PLUGIN)  # one of them, later
    np.testing.assert_array_equal(again.data, cine.data)


def test_files_that_are_stacked(open_viewer: Callable[..., Any], study: Path, cine: Volume) -> None:
    (layer,) = open_viewer().open(paths_in(study)[:6], plugin=PLUGIN, stack=True)
    np.testing.assert_array_equal(layer.data, cine.data[:, :2])
    assert layer.metadata[KEY].geometry.same_space(cine.geometry, 1e-3)


def test_slices_of_several_series(cases: Path, tmp_path: Path, cine: Volume) -> None:
    source = cases / "dicom_series_for_each_slice" / "study"
    study = Path(shutil.copytree(source, tmp_path / "split"))
    ((data, _, _),) = read_layers(paths_in(study))
    np.testing.assert_array_equal(data, cine.data)
    first = read_layers(paths_in(study)[0])
    np.testing.assert_array_equal(first[0][0], cine.data)


def test_files_of_two_series(study: Path, cine: Volume) -> None:
    for number, file in enumerate(paths_in(study)[:3]):
        one = pydicom.dcmread(file)
        one.SeriesInstanceUID, one.SOPInstanceUID = "1.2.3", f"1.2.3.{number}"
        one.StudyInstanceUID = "1.2.9"
        one.save_as(study / f"other{number}.dcm")
    layers = read_layers(paths_in(study))
    assert sorted(data.shape for data, _, _ in layers) == [(3, 1, 112, 112), (3, 3, 112, 112)]


@pytest.mark.parametrize(
    ("place", "shape"),
    [
        ("dicom_cd_nested/cd", (3, 112, 112)),
        ("dicom_cd_nested/cd/DICOMDIR", (3, 112, 112)),
        ("dicom_cd_nested/cd/PT000000/ST000000/SE000000/IM000001", (3, 112, 112)),
        ("enhanced_multi_frame/study", (2, 3, 112, 112)),
        ("enhanced_multi_frame/study/cine.dcm", (2, 3, 112, 112)),
        ("dicom_series_for_each_slice/study", (3, 3, 112, 112)),
        ("dicom_phase_missing/study", (2, 3, 112, 112)),
    ],
)
def test_field_cases(
    open_viewer: Callable[..., Any],
    cases: Path,
    place: str,
    shape: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(reader, "show_info", said.append)
    monkeypatch.setattr(reader, "_DROP", type(reader._DROP)())
    (layer,) = open_viewer().open(cases / place, plugin=PLUGIN)
    assert layer.data.shape == shape
    assert said == list(layer.metadata[KEY].notes)


def test_files_without_a_suffix(cases: Path, tmp_path: Path) -> None:
    series = cases / "dicom_cd_nested" / "cd"
    assert get_reader(str(series / "DICOMDIR")) is not None
    assert get_reader(str(series / "PT000000/ST000000/SE000000/IM000000")) is not None
    (tmp_path / "IM0001").write_text("no image")
    assert get_reader(str(tmp_path / "IM0001")) is None
    assert get_reader(str(tmp_path / "IM0002")) is None


def test_which_series(study: Path, cine: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, file in enumerate(paths_in(study)[:3]):
        one = pydicom.dcmread(file)
        one.SeriesInstanceUID, one.SOPInstanceUID = "1.2.3", f"1.2.3.{number}"
        one.SeriesDescription, one.StudyInstanceUID = "first slice", "1.2.9"
        one.save_as(study / f"other{number}.dcm")
    monkeypatch.setattr(series_dialog, "_window", lambda: None)
    with pytest.raises(SeveralSeries, match="holds 2 series"):  # nobody to ask
        read_layers(study)
    asked: list[list[str]] = []

    def answer(chosen: int, accepted: bool) -> None:
        def ask(_window: Any, _title: str, _text: str, names: list[str], *_: Any) -> Any:
            asked.append(names)
            return names[chosen], accepted

        monkeypatch.setattr("qtpy.QtWidgets.QInputDialog.getItem", ask)
        monkeypatch.setattr(series_dialog, "_window", object)

    answer(0, True)
    ((data, _, _),) = read_layers(study)
    assert any("'first slice' (MR, 3 images of 112 x 112)" in name for name in asked[0])
    answer(1, True)
    ((other, _, _),) = read_layers(study)
    assert sorted([data.shape, other.shape]) == [(3, 1, 112, 112), (3, 3, 112, 112)]
    answer(0, False)
    assert read_layers(study) == [(None,)]
