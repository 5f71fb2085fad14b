"""Files in and out of napari: geometry comes back as it was in the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from npe2.io_utils import read as read_with_napari
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog, QLineEdit, QMessageBox

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, read, write
from napari_flomo.widgets.layers import KEY, Grid, transform_of
from napari_flomo.widgets.reader import get_reader, read_layers
from napari_flomo.widgets.writer import write_layer


@pytest.fixture
def heart(repository: Path) -> Path:
    return repository / "docs" / "samples" / "sunnybrook_ed.nii.gz"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_open_and_save_through_napari(
    open_viewer: Callable[..., Any],
    make_volume: Callable[..., Volume],
    tmp_path: Path,
    suffix: str,
) -> None:
    volume = make_volume()
    write(volume, tmp_path / f"image{suffix}")
    viewer = open_viewer()
    (image,) = viewer.open(tmp_path / f"image{suffix}", plugin="napari-flomo")
    assert image.name == "image"
    np.testing.assert_allclose(image.scale, (8.0, 1.5, 1.25), rtol=1e-6)
    assert image.axis_labels == ("slices", "rows", "columns")
    drawn = np.zeros(image.data.shape, np.int32)
    drawn[1, 4:9, 5:20] = 3
    labels = viewer.add_labels(drawn, **transform_of(image))
    target = tmp_path / f"out{suffix}"
    assert labels.save(str(target), plugin="napari-flomo") == [str(target)]
    saved = read(target)
    assert saved.geometry.same_space(volume.geometry)  # turned by 30 degrees, unlike the layer
    assert saved.data.dtype == np.uint8
    np.testing.assert_array_equal(saved.data, drawn)


def test_cine(make_volume: Callable[..., Volume], tmp_path: Path) -> None:
    write(make_volume(frames=4), tmp_path / "cine.nii.gz")
    ((data, meta, kind),) = read_layers(tmp_path / "cine.nii.gz")
    assert kind == "image"
    assert data.shape == (4, 3, 20, 24)
    np.testing.assert_allclose(meta["scale"], (1.0, 8.0, 1.5, 1.25), rtol=1e-6)
    target = tmp_path / "labels.nrrd"
    labels = np.ones(data.shape, np.uint8)
    write_layer(str(target), labels, {"metadata": {KEY: Grid.of(meta["metadata"][KEY])}})
    assert read(target).n_frames == 4


def test_labels_open_as_labels(make_volume: Callable[..., Volume], tmp_path: Path) -> None:
    volume = make_volume()
    codes = volume.with_data((volume.data % 4).astype(np.uint8))
    write(codes, tmp_path / "heart_labels.nii.gz")
    write(codes, tmp_path / "heart_slabelled.nii.gz")
    write(volume, tmp_path / "heart_seg.nii.gz")  # grey values up to 1439
    kinds = [read_layers(path)[0][2] for path in sorted(tmp_path.glob("*.nii.gz"))]
    assert kinds == ["labels", "image", "image"]


def test_dicom_folder_only(shared: Path, tmp_path: Path, plugin: Any) -> None:
    series = shared / "data" / "sunnybrook" / "dicom" / "SC-HF-I-1"
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "notes.txt").write_text("nothing")
    assert get_reader(str(tmp_path)) is None
    for file in sorted(series.iterdir()):
        shutil.copy(file, tmp_path / file.stem)  # exports often have no suffix
    layers = read_with_napari([str(tmp_path)], stack=False, plugin_name="napari-flomo")
    ((data, meta, kind),) = layers
    assert (data.shape, kind) == ((10, 12, 256, 256), "image")
    assert meta["metadata"][KEY].geometry.same_space(read(series).geometry)


def test_readable_files() -> None:
    assert get_reader("a/HEART.NII.GZ") is not None
    assert get_reader(["a.nrrd", "b.nrrd"]) is not None
    assert get_reader("photo.png") is None
    assert get_reader("table.csv") is None


def test_several_files(heart: Path, tmp_path: Path) -> None:
    copy = tmp_path / heart.name
    copy.write_bytes(heart.read_bytes())
    assert len(read_layers([str(heart), str(copy), str(heart)])) == 2, "no file twice"


def test_a_damaged_file_is_reported(open_viewer: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "torn.nii.gz").write_bytes(b"\x1f\x8b torn")
    with pytest.raises(FlomoError) as caught:
        open_viewer().open(tmp_path / "torn.nii.gz", plugin="napari-flomo")
    assert "torn.nii.gz" in str(caught.value)


def test_labels_that_no_longer_fit_are_refused(heart: Path, tmp_path: Path) -> None:
    ((_, meta, _),) = read_layers(heart)
    grid = {KEY: Grid.of(meta["metadata"][KEY])}
    target = tmp_path / "out.nii.gz"
    with pytest.raises(FlomoError, match="11 × 256 × 256, but its image has 12 × 256 × 256"):
        write_layer(str(target), np.zeros((11, 256, 256), np.uint8), {"metadata": grid})
    assert not list(tmp_path.iterdir())


def test_drawn_labels_use_the_grid_of_the_image_below(
    open_viewer: Callable[..., Any], heart: Path, tmp_path: Path
) -> None:
    viewer = open_viewer()
    (image,) = viewer.open(heart, plugin="napari-flomo")
    inside = viewer.add_labels(np.ones(image.data.shape, int), **transform_of(image))
    inside.save(str(tmp_path / "on.nii.gz"), plugin="napari-flomo")
    assert read(tmp_path / "on.nii.gz").geometry.same_space(read(heart).geometry)
    beside = viewer.add_labels(np.ones(image.data.shape, int), scale=(3, 2, 1))
    beside.save(str(tmp_path / "beside.nii.gz"), plugin="napari-flomo")
    saved = read(tmp_path / "beside.nii.gz").geometry
    assert saved.spacing == (1, 2, 3)
    assert not saved.same_space(read(heart).geometry)


@pytest.mark.parametrize(("key", "ndim"), [("sunnybrook_volume", 3), ("sunnybrook_cine", 4)])
def test_samples(open_viewer: Callable[..., Any], key: str, ndim: int) -> None:
    viewer = open_viewer()
    (layer,) = viewer.open_sample("napari-flomo", key)
    assert layer.ndim == ndim
    assert layer.metadata[KEY].geometry.spacing == pytest.approx((1.367, 1.367, 10), abs=1e-3)
    picture = viewer.screenshot(canvas_only=True)[..., :3]
    assert picture.max() - picture.min() > 150  # grey values are shown, not a black window


def test_labels_of_a_dicom_series_as_a_dicom_segmentation(
    bench: Any, write_series: Callable[..., Any], make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed")
    images = make_heart().data[np.newaxis].astype(np.int16)
    uids = write_series(tmp_path / "series", images)
    (image,) = bench.viewer.open(str(tmp_path / "series"), plugin="napari-flomo")
    bench.run()
    entry = bench.viewer_state.entry_of(image)
    entry.labels.paint((1, 3, 5), 2)
    message = bench.review.message.text
    bench.review.save(str(tmp_path / "heart.dcm"))
    assert message.text() == "Writing the DICOM segmentation…"
    bench.qtbot.waitUntil(lambda: message.text().startswith("Saved to "), timeout=20_000)
    found = highdicom.seg.segread(tmp_path / "heart.dcm")
    assert {one.SegmentAlgorithmType for one in found.SegmentSequence} == {"SEMIAUTOMATIC"}
    masks = found.get_pixels_by_source_instance(
        [uids[0, number] for number in range(3)],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    codes = [label.code for label in bench.viewer_state.opened(entry).segmentation.card.labels]
    np.testing.assert_array_equal(np.array(codes)[masks], entry.labels.data)
    assert bench.viewer_state.opened(entry).autosave is not None, "napari cannot open it again"


def test_a_dicom_segmentation_needs_a_series(
    bench: Any, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    bench.add(make_heart())
    bench.run()
    bench.review.attempt(lambda: bench.review.save(str(tmp_path / "heart.dcm")))
    assert "was not opened from a DICOM folder" in bench.review.message.text.text()
    assert not (tmp_path / "heart.dcm").exists()


def test_labels_drawn_on_a_rounded_or_turned_view_use_the_grid_of_the_image(
    open_viewer: Callable[..., Any], heart: Path, tmp_path: Path
) -> None:
    viewer = open_viewer()
    (image,) = viewer.open(heart, plugin="napari-flomo")
    drawn = np.zeros(image.data.shape, np.uint8)
    drawn[3, 100:120, 90:140] = 2
    rounded = transform_of(image) | {"scale": [round(step, 3) for step in image.scale]}
    viewer.add_labels(drawn, **rounded).save(str(tmp_path / "a.nii.gz"), plugin="napari-flomo")
    turned = transform_of(image)
    turned["translate"] = np.array([0, (image.data.shape[1] - 1) * image.scale[1], 0])
    turned["scale"] = image.scale * [1, -1, 1]
    layer = viewer.add_labels(drawn[:, ::-1].copy(), **turned)
    layer.save(str(tmp_path / "b.nii.gz"), plugin="napari-flomo")
    for name in ("a", "b"):
        saved = read(tmp_path / f"{name}.nii.gz")
        assert saved.geometry == read(heart).geometry
        np.testing.assert_array_equal(saved.data, drawn)


def test_labels_that_a_header_scales_open_as_labels(heart: Path, tmp_path: Path) -> None:
    image = read(heart)
    codes = (image.data > 200).astype(np.uint8) * 3
    write(image.with_data(codes * np.float32(1.0000153)), tmp_path / "heart_gt.nii.gz")
    ((data, meta, kind),) = read_layers(tmp_path / "heart_gt.nii.gz")
    assert kind == "labels"
    np.testing.assert_array_equal(data, codes)
    assert meta["metadata"][KEY].geometry == image.geometry
    write(image.with_data(codes * np.float32(1.1)), tmp_path / "heart_gt.nii.gz")
    assert read_layers(tmp_path / "heart_gt.nii.gz")[0][2] == "image"


class Dialogs:
    """A user at the file dialog of Qt, and at the question that may follow."""

    def __init__(self, qtbot: Any, typed: str, filter_: str, answer: Any) -> None:
        self.qtbot, self.typed, self.filter, self.answer = qtbot, typed, filter_, answer
        self.questions: list[str] = []
        self.timer = QTimer()
        self.timer.timeout.connect(self.use)
        self.timer.start(50)

    def use(self) -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QMessageBox):
            self.questions.append(dialog.text())
            self.qtbot.mouseClick(dialog.button(self.answer), Qt.MouseButton.LeftButton)
        elif isinstance(dialog, QFileDialog) and dialog.selectedNameFilter() != self.filter:
            dialog.selectNameFilter(self.filter)
        elif isinstance(dialog, QFileDialog):
            name = dialog.findChild(QLineEdit)
            name.selectAll()
            self.qtbot.keyClicks(name, self.typed)
            self.qtbot.keyClick(name, Qt.Key.Key_Return)
        elif isinstance(dialog, QDialog):
            dialog.reject()


@pytest.fixture
def qt_dialogs(monkeypatch: pytest.MonkeyPatch, bench: Any) -> Callable[..., Dialogs]:
    original, opened = QFileDialog.getSaveFileName, []

    def not_native(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs | {"options": QFileDialog.Option.DontUseNativeDialog})

    monkeypatch.setattr(QFileDialog, "getSaveFileName", staticmethod(not_native))

    def make(typed: Path, filter_: str, answer: Any = QMessageBox.StandardButton.Yes) -> Dialogs:
        opened.append(Dialogs(bench.qtbot, str(typed), filter_, answer))
        return opened[-1]

    yield make
    for dialogs in opened:
        dialogs.timer.stop()


PANEL, NAPARI = "Save labels…", "Save selected layers"
NRRD = {PANEL: "NRRD (*.nrrd)", NAPARI: "FLoMo Labels on the image grid, NRRD (*.nrrd)"}


@pytest.mark.parametrize("way", [PANEL, NAPARI])
def test_the_ending_or_else_the_chosen_format_decides(
    bench: Any,
    qt_dialogs: Callable[..., Dialogs],
    make_heart: Callable[..., Volume],
    tmp_path: Path,
    way: str,
) -> None:
    entry = bench.add(make_heart())
    bench.run()
    bench.viewer.layers.selection = {entry.labels}
    for typed, written in (
        ("asnrrd", "asnrrd.nrrd"),
        ("patient.v2", "patient.v2.nrrd"),
        ("HEART.NII.GZ", "HEART.NII.GZ"),
        ("labels.xyz", None),
        ("labels.jpg", None),
    ):
        (folder := tmp_path / typed[:3]).mkdir()
        dialogs = qt_dialogs(folder / typed, NRRD[way])
        if way == PANEL:
            bench.click(bench.review.save_button)
            said = bench.review.message.text.text()
        else:
            try:
                bench.viewer.window._qt_viewer._save_layers_dialog(selected=True)
                said = f"Saved to {folder / str(written)}."
            except FlomoError as error:  # napari shows it as a notification
                said = str(error)
        dialogs.timer.stop()
        if written is None:
            assert f"end in {Path(typed).suffix} are not supported" in said
            assert said.endswith("choose a name that ends in .nii.gz, .nii, .nrrd or .mha.")
        else:
            assert said == f"Saved to {folder / written}."
            np.testing.assert_array_equal(read(folder / written).data, entry.labels.data)
        assert [path.name for path in folder.iterdir()] == [written] * bool(written)
        shutil.rmtree(folder)


def test_a_file_with_the_added_ending_is_not_overwritten_without_a_question(
    bench: Any,
    qt_dialogs: Callable[..., Dialogs],
    make_heart: Callable[..., Volume],
    tmp_path: Path,
) -> None:
    bench.add(make_heart())
    bench.run()
    (tmp_path / "mine.nrrd").write_bytes(b"mine")
    for answer, said in (("No", "Nothing was saved; mine.nrrd is unchanged."), ("Yes", "Saved to")):
        chosen = getattr(QMessageBox.StandardButton, answer)
        dialogs = qt_dialogs(tmp_path / "mine", NRRD[PANEL], chosen)
        bench.click(bench.review.save_button)
        dialogs.timer.stop()
        assert dialogs.questions == ["mine.nrrd exists. Replace it?"]
        assert bench.review.message.text.text().startswith(said)
        assert ((tmp_path / "mine.nrrd").read_bytes() == b"mine") == (answer == "No")
