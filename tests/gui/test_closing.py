"""Labels that were never saved: asked about before a window closes, brought back when removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from napari_flomo.session import SliceIndex
from napari_flomo.volumes import Volume, read, write
from napari_flomo.widgets.close_guard import CloseGuard

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def segmented(bench: Any, make_heart: Callable[..., Volume]) -> Any:
    """An image with labels of the network."""
    entry = bench.add(make_heart(), "cine")
    bench.run()
    return entry


def close(bench: Any, *answers: str) -> bool:
    """Close the window as the user does, answer the questions, and return True if it may go."""
    said: list[str] = []

    def answer() -> None:
        if isinstance(box := QApplication.activeModalWidget(), QMessageBox):
            said.append(box.text())
            (button,) = (one for one in box.buttons() if one.text() == answers[0])
            bench.qtbot.mouseClick(button, LEFT)

    if answers:
        QTimer.singleShot(200, answer)
    (guard,) = bench.viewer_state.findChildren(CloseGuard)
    stays = guard.eventFilter(bench.viewer.window._qt_window, QCloseEvent())
    assert said == ["The labels of cine are not saved."] * len(answers)
    return not stays


def test_the_window_asks_before_it_closes(bench: Any, segmented: Any) -> None:
    window = bench.viewer.window._qt_window
    QTimer.singleShot(
        200,
        lambda: bench.qtbot.keyClick(QApplication.activeModalWidget(), Qt.Key.Key_Escape),
    )
    assert not window.close()
    assert window.isVisible()
    assert not close(bench, "Cancel")
    assert close(bench, "Close without saving")
    assert close(bench), "it is not asked twice"


def test_save_writes_the_labels_and_closes(
    bench: Any, segmented: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["", str(tmp_path / "mine.nrrd")]
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_args: (answers.pop(0), "NRRD (*.nrrd)")
    )
    assert not close(bench, "Save…"), "the user cancelled the dialog"
    assert close(bench, "Save…")
    np.testing.assert_array_equal(read(tmp_path / "mine.nrrd").data, segmented.labels.data)
    assert close(bench), "all is saved"


@pytest.mark.parametrize("do", ["nothing", "paint", "save"])
def test_what_is_kept_anyway_is_not_asked_about(
    bench: Any, make_heart: Callable[..., Volume], tmp_path: Path, do: str
) -> None:
    entry = bench.add(make_heart(), "cine")
    if do != "nothing":
        bench.run()
    if do == "paint":  # the journal has it
        entry.labels.paint((1, 5, 5), 3)
    if do == "save":
        entry.labels.save(str(tmp_path / "labels.nii.gz"), plugin="napari-flomo")
    assert close(bench)


def test_a_removed_image_can_be_brought_back(bench: Any, segmented: Any) -> None:
    image = bench.viewer_state.opened(segmented)
    bench.viewer_state.presenter.go_to(image.key, SliceIndex(0, 1))
    bench.press(Qt.Key.Key_A)
    labels = segmented.labels.data.copy()
    bench.viewer.layers.selection.active = segmented.image
    bench.viewer.layers.remove_selected()
    message = bench.segment.message
    bench.qtbot.waitUntil(lambda: "cine was removed" in message.text.text())
    bench.viewer.layers.clear()
    bench.segment.raise_()
    bench.viewer_state.docks.open(bench.viewer, "Segment")
    bench.click(message.buttons[0])
    (again,) = bench.viewer_state.entries
    np.testing.assert_array_equal(again.labels.data, labels)
    assert bench.viewer_state.opened(again).review.accepted == 1
    assert not close(bench, "Cancel"), "the labels are still not saved"
    again.labels.mode, again.labels.selected_label = "paint", 3
    bench.stroke(again.labels, (1, 5, 5), (1, 5, 9))
    bench.qtbot.waitUntil(lambda: bench.viewer_state.opened(again).autosave is not None)


def test_a_study_is_saved_where_its_list_saves(
    bench: Any, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    write(make_heart(slices=3), tmp_path / "cine.nii.gz")
    panel = bench.segment.open("Studies")
    panel.choose(str(tmp_path))
    bench.qtbot.waitUntil(lambda: panel.table.rowCount() == 1, timeout=20_000)
    bench.press(Qt.Key.Key_PageDown)
    studies = panel.studies
    bench.qtbot.waitUntil(lambda: studies.current is not None and not studies.busy, timeout=20_000)
    bench.run()
    bench.press(Qt.Key.Key_PageDown)  # the last one: asks whether to save
    (save, _no) = panel.message.buttons
    assert not close(bench, "Cancel"), "nobody agreed to save it yet"
    bench.click(save)
    saved = tmp_path / "cine_labels.nii.gz"
    bench.qtbot.waitUntil(lambda: saved.exists() and not studies.busy, timeout=20_000)
    saved.unlink()
    bench.run()
    assert close(bench)
    (image,) = bench.viewer_state.session.images
    np.testing.assert_array_equal(read(saved).data, image.labels.data)
