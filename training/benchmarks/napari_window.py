"""A napari window with the plugin, and strokes with the mouse in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST = Path(__file__).resolve().parents[2] / "napari_flomo" / "napari.yaml"


def open_viewer() -> Any:
    """Open a window in which the plugin is registered."""
    import napari
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    manager.discover()
    if "napari-flomo" not in manager:
        manager.register(PluginManifest.from_file(MANIFEST))
    viewer: Any = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1400, 940)
    return viewer


def drag(viewer: Any, layer: Any, points: np.ndarray, after_move: Callable[[int], None]) -> float:
    """Drag the left button over points of the displayed slice; return the seconds it took.

    Parameters
    ----------
    viewer, layer
        The window, and the layer whose coordinates are used.
    points
        ``(points, 2)``: row and column.
    after_move
        Called with the number of each move.
    """
    from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    canvas = viewer.window._qt_viewer.canvas
    native, left = canvas.native, Qt.MouseButton.LeftButton
    positions = []
    for point in points:
        world = layer.data_to_world((*viewer.dims.current_step[: layer.ndim - 2], *point))
        x, y = canvas.view.scene.transform.map((world[-1], world[-2], 0, 1))[:2]
        positions.append(QPoint(round(x), round(y)))
    QTest.mouseMove(native, positions[0])
    start = time.perf_counter()
    QTest.mousePress(native, left, pos=positions[0])
    for number, position in enumerate(positions[1:]):
        native._last_time = 0.0  # vispy drops moves that follow within 10 ms
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(position),
            QPointF(native.mapToGlobal(position)),
            Qt.MouseButton.NoButton,
            left,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(native, event)
        after_move(number)
    QTest.mouseRelease(native, left, pos=positions[-1])
    return time.perf_counter() - start
