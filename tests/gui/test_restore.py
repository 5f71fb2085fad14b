"""Kill napari during a stroke, and restore the stroke in the next process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt

from napari_flomo.corrections import journals_folder, unfinished
from napari_flomo.session import SliceIndex, SliceState
from napari_flomo.volumes import Volume, write
from napari_flomo.widgets.viewer_state import viewer_state_of

PAINTER = """
import os, sys
from pathlib import Path
import numpy as np
import napari
from napari_flomo.models import info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session import SliceIndex, Scope
from napari_flomo.session.merging import merge_result, put_result
from napari_flomo.volumes import read
from napari_flomo.widgets.viewer_state import viewer_state_of
from napari_flomo.widgets.reader import layer_data
from qtpy.QtWidgets import QApplication

path, progress = sys.argv[1:]
viewer = napari.Viewer(show=True, show_welcome_screen=False)
data, arguments, _ = layer_data(read(path))
layer = viewer.add_image(data, **arguments)
viewer_state = viewer_state_of(viewer)
entry = viewer_state.entry_of(layer)
image = viewer_state.open_image(entry)
labels = image.volume.with_data((data > 150).astype(np.uint8) * 3)
scores = np.array([[1.0, 3.0, 2.0]], np.float32)
card = info("flomo-b0-acdc")[1]
put_result(
    image, merge_result(image, Segmentation(labels, None, {}, scores, {}, card), Scope())
)
viewer_state.adapter.show_labels(entry.key)
viewer_state.session.lock(entry.key, 1)
for number in range(1000):
    entry.labels.selected_label = 2
    entry.labels.brush_size = 3
    entry.labels.paint((1, 3 + number % 50, 5 + number // 50), 2)
    QApplication.processEvents()
    if number == 5:
        viewer.dims.current_step = (2, 0, 0)
        viewer_state.presenter.accept(entry.key)
    if image.autosave is not None and image.autosave.flush():
        np.save(progress + "-.npy", entry.labels.data)
        os.replace(progress + "-.npy", progress + ".npy")
        Path(progress).write_text(str(number))
"""


@pytest.fixture
def killed(
    plugin: Any, make_heart: Callable[..., Volume], tmp_path: Path
) -> tuple[np.ndarray, Volume]:
    """A window in another process that was killed while it painted; its labels and its image."""
    volume = make_heart(slices=3, size=64)
    write(volume, tmp_path / "heart.nii.gz")
    progress = tmp_path / "progress"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", PAINTER, str(tmp_path / "heart.nii.gz"), str(progress)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not progress.exists() or int(progress.read_text() or 0) < 12:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return np.load(f"{progress}.npy"), volume


def rows(qtbot: Any, panel: Any) -> list[Any]:
    """Return the rows of the list of unsaved changes, once they are there."""
    qtbot.waitUntil(panel.unsaved.isVisible, timeout=10_000)
    return list(panel.unsaved.rows)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_while_painting_and_restored(
    open_viewer: Callable[..., Any], killed: Any, qtbot: Any, tmp_path: Path
) -> None:
    painted, volume = killed
    (left,) = unfinished()
    assert left.model == "flomo-b0-acdc"
    viewer = open_viewer()
    _dock, panel = viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
    (row,) = rows(qtbot, panel)
    name, _when, strokes = row.text.text().split("\n")
    assert (name, strokes) == ("heart", f"{left.strokes} strokes")
    assert not row.picture.pixmap().isNull()
    row.restore_button.setFocus()
    qtbot.keyClick(row.restore_button, Qt.Key.Key_Space)
    viewer_state = viewer_state_of(viewer)
    qtbot.waitUntil(lambda: viewer_state.presenter.unsaved.restoring.ended, timeout=30_000)
    qtbot.waitUntil(panel.unsaved.isHidden, timeout=10_000)
    entry = viewer_state.current
    np.testing.assert_array_equal(entry.image.data, volume.data)
    differing = int((entry.labels.data != painted).sum())
    assert differing <= 9, "at most the last stroke of the killed process is not the same"
    image = viewer_state.opened(entry)
    assert image.volume.geometry.same_space(volume.geometry)
    assert image.review.order[0] == SliceIndex(0, 1), "the order of uncertainty was kept"
    assert image.review.state(SliceIndex(0, 2)) is SliceState.ACCEPTED
    assert image.review.edits(SliceIndex(0, 1)) > 0
    assert unfinished() == [], "it is open again, here"
    assert image.confirmed == {SliceIndex(0, 2)}
    _dock, review = viewer.window.add_plugin_dock_widget("napari-flomo", "Review", tabify=True)
    assert review.uncertainty.form.map.current_choice == "Entropy (not computed)"
    assert review.uncertainty.compute_button.isEnabled()
    assert "as long as Segment" in review.uncertainty.offer.text()

    entry.labels.selected_label = 3
    entry.labels.paint((0, 10, 10), 3)
    qtbot.waitUntil(lambda: image.review.edits(SliceIndex(0, 0)) > 0)
    assert image.autosave.flush()
    entry.labels.save(str(tmp_path / "saved.nii.gz"), plugin="napari-flomo")
    assert not [path for path in journals_folder().iterdir() if path.is_dir()]
    viewer_state.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_discard_asks(open_viewer: Callable[..., Any], killed: Any, qtbot: Any) -> None:
    viewer = open_viewer()
    _dock, panel = viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
    (row,) = rows(qtbot, panel)
    row.discard_button.click()
    assert "This cannot be undone" in panel.message.text.text()
    panel.message.close_button.click()
    assert len(unfinished()) == 1
    row.discard_button.click()
    panel.message.buttons[0].click()
    assert unfinished() == []
    qtbot.waitUntil(panel.unsaved.isHidden, timeout=10_000)
    viewer_state_of(viewer).close()


def test_cancelled(open_viewer: Callable[..., Any], killed: Any, qtbot: Any) -> None:
    viewer = open_viewer()
    _dock, panel = viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
    viewer_state = viewer_state_of(viewer)
    (row,) = rows(qtbot, panel)
    row.restore_button.click()
    assert panel.unsaved.cancel_button.isVisible()
    panel.unsaved.cancel_button.click()
    qtbot.waitUntil(lambda: viewer_state.presenter.unsaved.restoring.ended, timeout=30_000)
    assert panel.message.text.text().startswith("Cancelled")
    assert len(viewer.layers) == 0
    assert len(unfinished()) == 1
    (row,) = rows(qtbot, panel)
    assert row.restore_button.isEnabled()
    viewer_state.close()


def test_nothing_to_restore(open_viewer: Callable[..., Any], qtbot: Any) -> None:
    viewer = open_viewer()
    _dock, panel = viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
    found: list[Any] = []
    viewer_state_of(viewer).session.subscribe(found.append)
    viewer_state_of(viewer).presenter.unsaved.find()
    qtbot.waitUntil(lambda: bool(found), timeout=10_000)
    assert found[-1].works == ()
    assert panel.unsaved.isHidden()
    viewer_state_of(viewer).close()
