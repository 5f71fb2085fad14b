"""Real windows for the tests, under an X server.

Without napari or a screen these tests skip with the reason; on a machine without a screen run
``xvfb-run -a -s "-screen 0 1600x1200x24" pytest tests/gui``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.jobs import Worker, python_spawner
from napari_flomo.volumes import Volume

if find_spec("napari") is None or find_spec("pytestqt") is None:
    collect_ignore_glob = ["test_*.py"]  # the modules import Qt
else:
    from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    from napari_flomo.widgets.forms import set_choices
    from napari_flomo.widgets.layers import layer_of_volume
    from napari_flomo.widgets.viewer_state import viewer_state_of

MANIFEST = "napari_flomo/napari.yaml"


@pytest.fixture(scope="session", autouse=True)
def _screen() -> None:
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        pytest.skip("no screen: run these tests under xvfb-run")


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep journals and preferences of the tests away from those of the user."""
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("FLOMO_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def plugin(repository: Path) -> Any:
    """The manifest, known to napari whether or not the package is installed with it."""
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    manager.discover()
    if "napari-flomo" not in manager:
        manager.register(PluginManifest.from_file(repository / MANIFEST))
    return manager


@pytest.fixture
def open_viewer(plugin: Any, make_napari_viewer: Callable[..., Any]) -> Callable[..., Any]:
    """Open a napari window that is really drawn."""

    def make(**options: Any) -> Any:
        viewer = make_napari_viewer(show=True, **options)
        viewer.window.resize(1400, 1000)
        return viewer

    return make


class SharedWorker(Worker):
    """One warm child for the windows of a module; a window that closes leaves it running."""

    def close(self) -> None:
        """Leave the child to the next window."""


@pytest.fixture(scope="module")
def worker(repository: Path) -> Iterator[Worker]:
    """A worker whose network is a threshold; the process and the files are real."""
    child = repository / "tests" / "session" / "tiny_child.py"
    worker = SharedWorker(python_spawner(arguments=[str(child)]))
    yield worker
    Worker.close(worker)


@dataclass
class Bench:
    """A window with the Segment and Review panels, and how a test works on it."""

    viewer: Any
    viewer_state: Any
    segment: Any
    review: Any
    qtbot: Any

    def add(self, volume: Volume, name: str = "heart", **changes: Any) -> Any:
        """Open an image."""
        layer = self.viewer.add_image(
            volume.data, **(layer_of_volume(volume) | {"name": name} | changes)
        )
        return self.viewer_state.entry_of(layer)

    def pick(self, model: str) -> None:
        """Pick one of the tiny child's models."""
        row = self.segment.form.model
        if model not in row.choices:
            set_choices(row, [(name, name, "") for name in (*row.choices, model)])
        self.segment.choose_model(model)

    def click(self, button: Any) -> None:
        """Click with the mouse, in the middle of a button that is there."""
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def start(self, model: str = "slow", *, progress: bool = False) -> None:
        """Click Segment; with ``progress``, wait until the first slice is done."""
        self.pick(model)
        self.click(self.segment.segment_button)
        if progress:
            self.qtbot.waitUntil(lambda: self.segment.progress.value() > 0, timeout=30_000)

    def run(self, model: str = "toy") -> None:
        """Click Segment and wait for the end."""
        self.start(model)
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until nothing runs."""
        self.qtbot.waitUntil(lambda: self.viewer_state.session.running is None, timeout=60_000)

    def stroke(
        self, layer: Any, *points: tuple[float, ...], before_release: Callable[[], None] = int
    ) -> None:
        """Press, drag and release the left button over points given in the layer's indices."""
        canvas = self.viewer.window._qt_viewer.canvas
        native = canvas.native
        self.viewer.layers.selection.active = layer
        self.settle()
        places = [self.on_canvas(layer, point) for point in points]
        self.qtbot.mouseMove(native, places[0])
        self.qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=places[0])
        for place in places[1:]:
            self.settle()
            native._last_time = 0.0  # vispy drops moves that follow within 10 ms
            event = QMouseEvent(
                QEvent.Type.MouseMove,
                QPointF(place),
                QPointF(native.mapToGlobal(place)),
                Qt.MouseButton.NoButton,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
            )
            QApplication.sendEvent(native, event)
        self.settle()
        before_release()
        self.qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=places[-1])

    def settle(self) -> None:
        """Let Qt lay the window out: other layer controls give the canvas another size."""
        for _ in range(3):
            QApplication.processEvents()

    def on_canvas(self, layer: Any, point: tuple[float, ...]) -> Any:
        """Return where a voxel is drawn, in the pixels of the canvas."""
        world = layer.data_to_world(point)
        canvas = self.viewer.window._qt_viewer.canvas
        view = canvas.view
        row, column = world[-2:]
        x, y = view.scene.transform.map((column, row, 0, 1))[:2]
        ratio = canvas.native.devicePixelRatioF()
        return QPoint(round(x / ratio), round(y / ratio))

    def press(self, key: Any, modifier: Any = None) -> None:
        """Press a key while the canvas has the focus."""
        self.qtbot.keyClick(
            self.viewer.window._qt_viewer.canvas.native, key, *filter(None, [modifier])
        )

    def picture(self) -> np.ndarray:
        """Return what the canvas shows, as RGB."""
        self.settle()
        return self.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


@pytest.fixture
def bench(
    plugin: Any, mock_app_model: Any, worker: Worker, qapp: Any, qtbot: Any
) -> Iterator[Bench]:
    """A window with both panels and a quick worker.

    Every test has an application model of its own, for commands can be registered only once in one.
    Every test has a window of its own: vispy crashes under Mesa now and then when layers are added
    after others were removed, without any plugin.
    """
    import napari

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1400, 1000)
    viewer_state = viewer_state_of(viewer, worker)
    segment, review = (
        viewer.window.add_plugin_dock_widget("napari-flomo", name)[1]
        for name in ("Segment", "Review")
    )
    qtbot.waitUntil(viewer.window._qt_viewer.canvas.native.isVisible)
    bench = Bench(viewer, viewer_state, segment, review, qtbot)
    yield bench
    if viewer_state.session.running is not None:
        viewer_state.session.running.cancel()
        qtbot.waitUntil(lambda: worker.job is None, timeout=10_000)
    bench.__dict__.clear()
    viewer.close()
    qapp.processEvents()
    # The menus of the window are gone; notified of every removed action, too, they would raise
    # an error for each, which takes seconds.
    mock_app_model.menus.menus_changed.disconnect()
