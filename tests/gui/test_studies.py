"""The Studies panel in a real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_flomo.volumes import Volume, write


@pytest.fixture
def panel(bench: Any, make_heart: Callable[..., Volume], tmp_path: Path) -> Any:
    """A list of three studies, one of which cannot be read."""
    folder = tmp_path / "studies"
    folder.mkdir()
    heart = make_heart(slices=3)
    for name in ("a", "c"):
        write(heart, folder / f"{name}.nii.gz")
    (folder / "b.nii.gz").write_bytes(b"damaged")
    labels = np.zeros(heart.data.shape, np.uint8)
    labels[1, 4:9, 4:9] = 3
    write(heart.with_data(labels), folder / "c_gt.nii.gz")
    panel = bench.viewer.window.add_plugin_dock_widget("napari-flomo", "Studies")[1]
    panel.choose(str(folder))
    bench.qtbot.waitUntil(lambda: panel.table.rowCount() == 3, timeout=20_000)
    return panel


def wait_open(bench: Any, panel: Any, id: str) -> None:
    studies = panel.studies
    bench.qtbot.waitUntil(lambda: studies.current == id and not studies.busy, timeout=20_000)
    bench.settle()


def test_keys_and_double_click(bench: Any, panel: Any) -> None:
    assert [panel.table.item(row, 1).text() for row in range(3)] == ["new", "new", "segmented"]
    bench.press(Qt.Key.Key_PageDown)
    wait_open(bench, panel, "a.nii.gz")
    assert [layer.name for layer in bench.viewer.layers] == ["a"]
    assert panel.table.item(0, 0).font().bold()
    bench.press(Qt.Key.Key_PageDown)
    bench.qtbot.waitUntil(lambda: "b.nii.gz cannot be opened" in panel.message.text.text())
    assert list(bench.viewer.layers) == []
    place = panel.table.visualItemRect(panel.table.item(2, 0)).center()
    for click in (bench.qtbot.mouseClick, bench.qtbot.mouseDClick):
        click(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    wait_open(bench, panel, "c.nii.gz")


def test_closing_the_image_and_strokes_that_were_not_saved(bench: Any, panel: Any) -> None:
    bench.press(Qt.Key.Key_PageDown)
    wait_open(bench, panel, "a.nii.gz")
    bench.run()
    labels = bench.viewer_state.current.labels
    labels.data_setitem(np.nonzero(np.ones((1, 2, 2))), np.full(4, 2))
    image = bench.viewer_state.current_image
    bench.qtbot.waitUntil(lambda: image.autosave is not None)
    mine = image.labels.data.copy()
    bench.press(Qt.Key.Key_PageDown)  # asks; the user closes everything instead
    assert "are not saved" in panel.message.text.text()
    bench.viewer.layers.clear()
    bench.qtbot.waitUntil(lambda: panel.studies.current is None)
    bench.click(panel.refresh_button)
    bench.qtbot.waitUntil(lambda: "unsaved strokes" in panel.table.item(0, 1).text())
    panel.studies.open("a.nii.gz")
    wait_open(bench, panel, "a.nii.gz")
    assert "restored" in panel.message.text.text()
    np.testing.assert_array_equal(bench.viewer_state.current_image.labels.data, mine)


def test_continue_from_labels(
    bench: Any, panel: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    panel.studies.open("c.nii.gz")
    wait_open(bench, panel, "c.nii.gz")
    assert "c_gt.nii.gz" in panel.message.text.text()
    bench.click(panel.message.buttons[0])
    entry = bench.viewer_state.current
    bench.qtbot.waitUntil(lambda: entry.labels is not None, timeout=20_000)
    assert (entry.labels.data == 3).sum() == 25
    empty = bench.viewer_state.current_image.volume
    write(empty.with_data(np.zeros(empty.data.shape, np.uint8)), tmp_path / "other.nrrd")
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "other.nrrd"), "")
    )
    bench.click(panel.continue_button)
    bench.qtbot.waitUntil(lambda: not entry.labels.data.any(), timeout=20_000)
    entry.labels.undo()
    bench.qtbot.waitUntil(lambda: bench.viewer_state.current_image.labels.data.sum() == 75)


def test_it_fits_and_is_used_by_keyboard(bench: Any, panel: Any) -> None:
    bench.viewer.window._qt_window.resize(1280, 720)
    bench.settle()
    assert panel.minimumSizeHint().width() <= 280
    panel.table.setFocus()
    panel.table.setCurrentCell(2, 0)
    bench.qtbot.keyClick(panel.table, Qt.Key.Key_Return)
    wait_open(bench, panel, "c.nii.gz")
    bench.click(panel.only_open)
    assert panel.table.rowCount() == 3
