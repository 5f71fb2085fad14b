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

from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_flomo.session import Preferences
from napari_flomo.volumes import Volume, read, write
from napari_flomo.volumes.dicom.series import SeveralSeries
from napari_flomo.widgets import reader, series_dialog
from napari_flomo.widgets.layers import KEY
from napari_flomo.widgets.opening import volume_groups
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


def drop(viewer: Any, paths: list[str]) -> list[Any]:
    """Drop files on the canvas, as from a file manager; return the new layers."""
    before = list(viewer.layers)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    window = viewer.window._qt_viewer
    place, action = QPointF(50, 50), Qt.DropAction.CopyAction
    button, modifier = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(place, action, mime, button, modifier))
    return [layer for layer in viewer.layers if layer not in before]


def add_series(study: Path, files: list[str], uid: str) -> list[str]:
    """Copy slices into another series."""
    made = []
    for number, file in enumerate(files):
        one = pydicom.dcmread(file)
        one.SeriesInstanceUID, one.SOPInstanceUID = uid, f"{uid}.{number}"
        one.StudyInstanceUID, one.SeriesDescription = "1.2.9", "Doe^Jane SA"
        one.SeriesNumber = 8
        made.append(str(study / f"other{number}.dcm"))
        one.save_as(made[-1])
    return made


def test_files_that_are_dropped_together(
    open_viewer: Callable[..., Any], study: Path, cine: Volume
) -> None:
    get_settings().plugins.extension2reader = {"*": PLUGIN}
    viewer = open_viewer()
    assert len(drop(viewer, [str(study), *paths_in(study)[:2]])) == 1
    viewer.layers.clear()
    (layer,) = drop(viewer, paths_in(study))
    np.testing.assert_array_equal(layer.data, cine.data)
    viewer.layers.clear()
    (again,) = drop(viewer, paths_in(study)[4:5])  # a single file stands for its series
    np.testing.assert_array_equal(again.data, cine.data)
    (part,) = drop(viewer, paths_in(study)[:6])  # only those
    np.testing.assert_array_equal(part.data, cine.data[:, :2])


def test_files_of_several_kinds_dropped_together(
    open_viewer: Callable[..., Any], study: Path, cine: Volume
) -> None:
    get_settings().plugins.extension2reader = {"*": PLUGIN}
    files = paths_in(study)
    other = add_series(study, files[:3], "1.2.3")
    frames = [str(study / f"frame{number}.nii.gz") for number in range(2)]
    for number, path in enumerate(frames):
        write(cine.with_data(cine.data[number], axes=cine.axes[1:]), path)
    viewer = open_viewer()
    mixed = [files[0], frames[0], *other, *files[1:], frames[1]]
    names = [layer.name for layer in drop(viewer, mixed)]
    assert names == ["MR 300", "frame0", "MR 8 short axis", "frame1"]
    assert [layer.ndim for layer in viewer.layers] == [4, 3, 4, 3]


def test_files_that_are_no_slices_of_one_stack(study: Path, cine: Volume) -> None:
    first, second, *others = paths_in(study)
    for file, bent in ((first, [1, 0, 0, 0, 1, 0]), (second, [0, 1, 0, 0, 0, -1])):
        one = pydicom.dcmread(file)
        one.SeriesInstanceUID, one.ImageOrientationPatient = "1.2.3", bent
        one.save_as(file)
    Path(others[0]).write_bytes(b"damaged")
    groups = volume_groups([Path(one) for one in (first, second, *others)])
    assert [len(group) for group in groups] == [1, 1, 1, len(others) - 1]


def test_a_layer_is_named_without_patient_data(study: Path) -> None:
    (other, *_) = add_series(study, paths_in(study)[:3], "1.2.3")
    ((_, arguments, _),) = read_layers(other)
    assert arguments["name"] == "MR 8 short axis"
    Preferences().name_by_folder = True
    ((_, arguments, _),) = read_layers(other)
    assert arguments["name"] == "study"


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
    add_series(study, paths_in(study)[:3], "1.2.3")
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
    add_series(study, paths_in(study)[:3], "1.2.3")
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
    assert any("'Doe^Jane SA' (MR, 3 images of 112 x 112)" in name for name in asked[0])
    answer(1, True)
    ((other, _, _),) = read_layers(study)
    assert sorted([data.shape, other.shape]) == [(3, 1, 112, 112), (3, 3, 112, 112)]
    answer(0, False)
    assert read_layers(study) == [(None,)]
