"""Make the pictures of the napari tutorial: a real window, a real network, real strokes.

Needs napari, Pillow and a screen::

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/make_pictures.py
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from npe2 import PluginManager, PluginManifest
from PIL import Image
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_flomo.session import SliceIndex

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures" / "napari"
WIDTH = 1200
WALK_WIDTH = 860
WALK_COLOURS = (160, 80)
"""Of all pixels and of the colourful ones, which are few and would get no colour of their own."""

COLOURFUL = 60
PATIENCE = 1200
TRAINING_PATIENCE = 3600
SPOT = SliceIndex(0, 9)
"""Where the network takes a spot beside the heart for right ventricle."""


class Studio:
    """A window, a camera and a hand."""

    def __init__(self) -> None:
        manager = PluginManager.instance()
        manager.discover()
        if "napari-flomo" not in manager:
            manager.register(PluginManifest.from_file(ROOT / "napari_flomo" / "napari.yaml"))
        self.viewer: Any = napari.Viewer(show=True, show_welcome_screen=False)
        self.viewer.window.resize(1400, 940)
        self.frames: list[tuple[Image.Image, int]] = []

    def panel(self, name: str) -> Any:
        """Open a panel of the plugin, or bring it to the front."""
        dock, widget = self.viewer.window.add_plugin_dock_widget("napari-flomo", name, tabify=True)
        self.settle()
        dock.show()
        dock.raise_()
        self.settle()
        return widget

    def settle(self, seconds: float = 0.5) -> None:
        """Let the window draw itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wait(self, done: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait for something that takes long."""
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                raise TimeoutError
            QApplication.processEvents()
            time.sleep(0.01)

    def shoot(self, name: str | None = None, show_ms: int = 0) -> None:
        """Take a picture of the window, for the page, for the walk, or both."""
        self.settle()
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        if name is not None:
            small = _scaled(picture, WIDTH)
            small.save(PICTURES / f"{name}.png", optimize=True)
            print(f"{name}.png: {(PICTURES / f'{name}.png').stat().st_size / 1e3:.0f} kB")
        if show_ms:
            self.frames.append((_scaled(picture, WALK_WIDTH), show_ms))

    def stroke(self, layer: Any, points: np.ndarray, between: Callable[[], None]) -> None:
        """Drag the left button over points of a layer, (row, column) in the slice shown."""
        canvas = self.viewer.window._qt_viewer.canvas
        native, left = canvas.native, Qt.MouseButton.LeftButton
        places = [self._on_canvas(layer, point) for point in points]
        QTest.mouseMove(native, places[0])
        QTest.mousePress(native, left, pos=places[0])
        for number, place in enumerate(places[1:]):
            self.settle(0.03)
            event = QMouseEvent(
                QEvent.Type.MouseMove,
                QPointF(place),
                QPointF(native.mapToGlobal(place)),
                Qt.MouseButton.NoButton,
                left,
                Qt.KeyboardModifier.NoModifier,
            )
            QApplication.sendEvent(native, event)
            if number % 4 == 3:
                between()
        self.settle(0.03)
        QTest.mouseRelease(native, left, pos=places[-1])

    def finish_walk(self) -> None:
        """Write the frames as an animation."""
        palette = _palette([frame for frame, _ in self.frames])
        pictures = [
            frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame, _ in self.frames
        ]
        path = PICTURES / "walk.gif"
        durations = [ms for _, ms in self.frames]
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=durations, loop=0
        )
        print(f"walk.gif: {path.stat().st_size / 1e6:.2f} MB, {len(pictures)} frames")

    def _on_canvas(self, layer: Any, point: np.ndarray) -> QPoint:
        step = self.viewer.dims.current_step
        world = layer.data_to_world((*step[: layer.ndim - 2], *point))
        view = self.viewer.window._qt_viewer.canvas.view
        x, y = view.scene.transform.map((world[-1], world[-2], 0, 1))[:2]
        return QPoint(round(x), round(y))


def _scaled(picture: Image.Image, width: int) -> Image.Image:
    height = round(picture.height * width / picture.width)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _palette(pictures: list[Image.Image]) -> Image.Image:
    """Choose the colours of an animation, once for all frames, so that nothing flickers."""
    pixels = np.concatenate([np.asarray(one).reshape(-1, 3)[::7] for one in pictures])
    bright = pixels[np.ptp(pixels, axis=1) > COLOURFUL]
    colours: list[int] = []
    for part, count in zip((pixels, bright), WALK_COLOURS, strict=True):
        chosen = Image.fromarray(part[np.newaxis]).quantize(count).getpalette()
        colours += (chosen or [])[: 3 * count]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours + [0] * (768 - len(colours)))
    return palette


def volume(studio: Studio, target: Path) -> None:
    """Open, segment, review, correct, save."""
    viewer = studio.viewer
    viewer.open_sample("napari-flomo", "sunnybrook_volume")
    studio.panel("Review")
    segment = studio.panel("Segment")
    viewer_state = segment.viewer_state
    studio.shoot("1-open", 1800)
    segment.segment_button.click()
    studio.wait(lambda: segment.progress.value() > 2 or viewer_state.session.running is None)
    studio.shoot("2-progress", 700)
    studio.wait(lambda: viewer_state.session.running is None)
    viewer.dims.set_current_step(0, 6)
    viewer.camera.zoom *= 1.4
    viewer.camera.center = (0, 1.367 * 122, 1.367 * 150)
    studio.shoot("3-masks", 1800)
    review = studio.panel("Review")
    review.next_button.click()
    review.uncertainty.form.overlay.native.click()
    while not viewer_state.current.labels.data[viewer.dims.current_step[0]].any():
        studio.shoot(None, 1500)  # nothing is found here, which is right above the heart
        review.accept_button.click()
    studio.shoot("4-review", 2200)
    review.uncertainty.form.overlay.native.click()
    correct(studio, viewer_state, review)
    studio.shoot("5-correct", 1200)
    review.compare.form.compare_with.value = "changes"
    studio.shoot("6-changes", 1800)
    review.compare.form.compare_with.value = "off"
    for _ in range(2):
        review.accept_button.click()
        studio.shoot(None, 1000)
    review.save(str(target / "sunnybrook_ed_labels.nii.gz"))
    review.message.text.setText("Saved to sunnybrook_ed_labels.nii.gz.")  # without our folder
    studio.shoot(None, 2500)
    studio.finish_walk()
    studio.panel("Models")
    studio.shoot("8-models")


def correct(studio: Studio, viewer_state: Any, review: Any) -> None:
    """Erase the spot beside the heart that the network took for right ventricle."""
    review.list.chosen.emit(SPOT)
    labels = viewer_state.current.labels
    before = labels.data[SPOT.slice].copy()
    middle = np.argwhere(before > 0)[:, 1].mean()
    spot = np.argwhere(before == 1)
    spot = spot[spot[:, 1] < middle - 20]
    review.structures.brushes[1].click()
    labels.mode = "erase"
    labels.brush_size = 4
    studio.settle()
    order = np.lexsort((spot[:, 1], spot[:, 0] // 3))
    points = spot[order][np.linspace(0, len(spot) - 1, 17).astype(int)]
    studio.stroke(labels, points, lambda: studio.shoot(None, 250))
    assert (labels.data[SPOT.slice] != before).any(), "the stroke missed"


def cine(studio: Studio) -> None:
    """Segment a beating heart: volumes over time give the ejection fraction."""
    studio.viewer.layers.clear()
    studio.viewer.open_sample("napari-flomo", "sunnybrook_cine")
    studio.viewer.reset_view()
    segment = studio.panel("Segment")
    segment.form.scope.value = "all"
    segment.segment_button.click()
    studio.wait(lambda: segment.viewer_state.session.running is None)
    studio.viewer.dims.set_current_step(1, 5)
    studio.panel("Review").message.clear()
    studio.shoot("7-cine")


def learn(studio: Studio, target: Path) -> None:
    """Accept slices of the cine, too, and train: far too short for a better model."""
    review = studio.panel("Review")
    for _ in range(8):
        review.next_button.click()
        review.accept_button.click()
    studio.wait(lambda: "8 accepted" in review.kept.text())
    panel = studio.panel("Learn")
    panel.settings = str(target / "settings.yaml")
    Path(panel.settings).write_text("steps: 6\nevaluate_every: 2\nwarm_up: 2\nbatch_size: 2\n")
    studio.wait(lambda: panel.learning.readiness is not None)
    panel.train_button.click()
    studio.wait(lambda: panel.learning.training.state.final, TRAINING_PATIENCE)
    studio.wait(panel.gate_group.isVisible)
    panel.message.clear()
    studio.shoot("9-learn")


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLOMO_HOME"] = folder
        studio = Studio()
        volume(studio, Path(folder))
        cine(studio)
        learn(studio, Path(folder))
        studio.viewer.close()


if __name__ == "__main__":
    main()
