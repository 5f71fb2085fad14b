"""Windows for the tests: real ones, under an X server.

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
from napari_flomo.session import Preferences
from napari_flomo.volumes import Volume

if find_spec("napari") is None or find_spec("pytestqt") is None:
    collect_ignore_glob = ["test_*.py"]  # the modules import Qt
else:
    from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    from napari_flomo.widgets.desk import desk_of
    from napari_flomo.widgets.layers import layer_of_volume

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


@pytest.fixture(scope="module")
def worker(repository: Path) -> Iterator[Worker]:
    """A worker whose network is a threshold; the process and the files are real."""
    child = repository / "tests" / "session" / "tiny_child.py"
    with Worker(python_spawner(arguments=[str(child)])) as worker:
        yield worker


@dataclass
class Bench:
    """A window with the Segment and Review panels, and how a test works on it."""

    viewer: Any
    desk: Any
    segment: Any
    review: Any
    qtbot: Any

    def add(self, volume: Volume, name: str = "heart", **changes: Any) -> Any:
        """Open an image."""
        layer = self.viewer.add_image(
            volume.data, **(layer_of_volume(volume) | {"name": name} | changes)
        )
        return self.desk.entry_of(layer)

    def pick(self, model: str) -> None:
        """Pick one of the tiny child's models."""
        if self.segment.model_box.findData(model) < 0:
            self.segment.model_box.addItem(model, model)
        self.segment.choose_model(model)

    def click(self, button: Any) -> None:
        """Click with the mouse, in the middle of a button that is there."""
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def run(self, model: str = "toy") -> None:
        """Click Segment and wait for the end."""
        self.pick(model)
        self.click(self.segment.segment_button)
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until nothing runs."""
        self.qtbot.waitUntil(lambda: self.desk.session.running is None, timeout=60_000)

    def stroke(self, layer: Any, *points: tuple[float, ...]) -> None:
        """Press, drag and release the left button over points given in the layer's indices."""
        canvas = self.viewer.window._qt_viewer.canvas
        native = canvas.native
        self.viewer.layers.selection.active = layer
        places = [self.on_canvas(layer, point) for point in points]
        self.qtbot.mouseMove(native, places[0])
        self.qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=places[0])
        for place in places[1:]:
            event = QMouseEvent(
                QEvent.Type.MouseMove,
                QPointF(place),
                QPointF(native.mapToGlobal(place)),
                Qt.MouseButton.NoButton,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
            )
            QApplication.sendEvent(native, event)
        self.qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=places[-1])

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
        QApplication.processEvents()
        return self.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


@pytest.fixture(scope="module")
def window(
    plugin: Any, worker: Worker, qapp: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """One window for a module, since opening one takes seconds."""
    import napari

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOMO_HOME", str(tmp_path_factory.mktemp("home")))
        viewer = napari.Viewer(show=True, show_welcome_screen=False)
        viewer.window.resize(1400, 1000)
        desk_of(viewer, worker)
        panels = [
            viewer.window.add_plugin_dock_widget("napari-flomo", name)[1]
            for name in ("Segment", "Review")
        ]
        yield viewer, *panels
        panels.clear()
        viewer.close()
        QApplication.processEvents()


@pytest.fixture
def bench(window: Any, qtbot: Any, data_home: Path) -> Iterator[Bench]:
    """The window with both panels, cleared."""
    viewer, segment, review = window
    desk = desk_of(viewer)
    desk.preferences = Preferences(data_home / "preferences.json")
    desk._memory._preferences = desk.preferences
    segment.message.clear()
    review.message.clear()
    segment.scopes["stack"].setChecked(True)
    yield Bench(viewer, desk, segment, review, qtbot)
    if desk.session.running is not None:
        desk.session.running.cancel()
        qtbot.waitUntil(lambda: desk.session.running is None)
    viewer.layers.clear()
