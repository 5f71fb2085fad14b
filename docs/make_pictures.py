"""Make the screenshots and the animation of the napari tutorial in a real window.

Needs napari, Pillow and a screen::

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/make_pictures.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_flomo.session import SliceIndex

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training" / "benchmarks"))
from napari_window import drag, open_viewer  # noqa: E402

PICTURES = ROOT / "docs" / "pictures" / "napari"
WIDTH = 1200
ANIMATION_WIDTH = 860
ANIMATION_COLOURS = (160, 80)
"""Palette sizes for all pixels, and for colourful ones, which are few and would be lost."""

COLOURFUL = 60
TIMEOUT_S = 1200
TRAINING_TIMEOUT_S = 3600
SPOT = SliceIndex(0, 9)
"""Slice with a false right ventricle beside the heart."""


class Window:
    """A napari window with screenshots and simulated strokes."""

    def __init__(self) -> None:
        self.viewer = open_viewer()
        self.frames: list[tuple[Image.Image, int]] = []

    def panel(self, name: str) -> Any:
        """Open a panel of the plugin, or raise it."""
        dock, widget = self.viewer.window.add_plugin_dock_widget("napari-flomo", name, tabify=True)
        self.settle()
        dock.show()
        dock.raise_()
        self.settle()
        return widget

    def settle(self, seconds: float = 0.5) -> None:
        """Process events, so that the window is drawn."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wait(self, done: Callable[[], bool], timeout: float = TIMEOUT_S) -> None:
        """Wait until ``done`` returns True."""
        end = time.monotonic() + timeout
        while not done():
            if time.monotonic() > end:
                raise TimeoutError
            QApplication.processEvents()
            time.sleep(0.01)

    def screenshot(self, name: str | None = None, show_ms: int = 0) -> None:
        """Take a screenshot for the page, for the animation, or for both."""
        self.settle()
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        if name is not None:
            small = _scaled(picture, WIDTH)
            small.save(PICTURES / f"{name}.png", optimize=True)
            print(f"{name}.png: {(PICTURES / f'{name}.png').stat().st_size / 1e3:.0f} kB")
        if show_ms:
            self.frames.append((_scaled(picture, ANIMATION_WIDTH), show_ms))

    def stroke(self, layer: Any, points: np.ndarray, between: Callable[[], None]) -> None:
        """Drag the mouse over points of a layer, (row, column) in the displayed slice."""

        def after_move(number: int) -> None:
            self.settle(0.03)
            if number % 4 == 3:
                between()

        drag(self.viewer, layer, points, after_move)

    def save_animation(self) -> None:
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


def _scaled(picture: Image.Image, width: int) -> Image.Image:
    height = round(picture.height * width / picture.width)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _palette(pictures: list[Image.Image]) -> Image.Image:
    """Return one palette for all frames of the animation, to prevent flicker."""
    pixels = np.concatenate([np.asarray(one).reshape(-1, 3)[::7] for one in pictures])
    bright = pixels[np.ptp(pixels, axis=1) > COLOURFUL]
    colours: list[int] = []
    for part, count in zip((pixels, bright), ANIMATION_COLOURS, strict=True):
        chosen = Image.fromarray(part[np.newaxis]).quantize(count).getpalette()
        colours += (chosen or [])[: 3 * count]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours + [0] * (768 - len(colours)))
    return palette


def volume(window: Window, target: Path) -> None:
    """Open, segment, review, correct, save."""
    viewer = window.viewer
    viewer.open_sample("napari-flomo", "sunnybrook_volume")
    window.panel("Review")
    segment = window.panel("Segment")
    viewer_state = segment.viewer_state
    window.screenshot("1-open", 1800)
    segment.segment_button.click()
    window.wait(lambda: segment.progress.value() > 2 or viewer_state.session.running is None)
    window.screenshot("2-progress", 700)
    window.wait(lambda: viewer_state.session.running is None)
    viewer.dims.set_current_step(0, 6)
    viewer.camera.zoom *= 1.4
    viewer.camera.center = (0, 1.367 * 122, 1.367 * 150)
    window.screenshot("3-masks", 1800)
    review = window.panel("Review")
    review.next_button.click()
    review.uncertainty.form.overlay.native.click()
    while not viewer_state.current.labels.data[viewer.dims.current_step[0]].any():
        window.screenshot(None, 1500)  # correct: no structures above the heart
        review.accept_button.click()
    window.screenshot("4-review", 2200)
    review.uncertainty.form.overlay.native.click()
    correct(window, viewer_state, review)
    window.screenshot("5-correct", 1200)
    review.compare.form.compare_with.value = "changes"
    window.screenshot("6-changes", 1800)
    review.compare.form.compare_with.value = "off"
    for _ in range(2):
        review.accept_button.click()
        window.screenshot(None, 1000)
    review.save(str(target / "sunnybrook_ed_labels.nii.gz"))
    # Without the temporary folder.
    review.message.text.setText("Saved to sunnybrook_ed_labels.nii.gz.")
    window.screenshot(None, 2500)
    window.save_animation()
    window.panel("Models")
    window.screenshot("8-models")


def correct(window: Window, viewer_state: Any, review: Any) -> None:
    """Erase the false right ventricle beside the heart."""
    review.list.chosen.emit(SPOT)
    labels = viewer_state.current.labels
    before = labels.data[SPOT.slice].copy()
    middle = np.argwhere(before > 0)[:, 1].mean()
    spot = np.argwhere(before == 1)
    spot = spot[spot[:, 1] < middle - 20]
    review.structures.brushes[1].click()
    labels.mode = "erase"
    labels.brush_size = 4
    window.settle()
    order = np.lexsort((spot[:, 1], spot[:, 0] // 3))
    points = spot[order][np.linspace(0, len(spot) - 1, 17).astype(int)]
    window.stroke(labels, points, lambda: window.screenshot(None, 250))
    assert (labels.data[SPOT.slice] != before).any(), "the stroke missed"


def cine(window: Window) -> None:
    """Segment a cine, which gives the ejection fraction."""
    window.viewer.layers.clear()
    window.viewer.open_sample("napari-flomo", "sunnybrook_cine")
    window.viewer.reset_view()
    segment = window.panel("Segment")
    segment.form.scope.value = "all"
    segment.segment_button.click()
    window.wait(lambda: segment.viewer_state.session.running is None)
    window.viewer.dims.set_current_step(1, 5)
    window.panel("Review").message.close_button.click()
    window.screenshot("7-cine")


def learn(window: Window, target: Path) -> None:
    """Accept slices of the cine and run a short training."""
    review = window.panel("Review")
    for _ in range(8):
        review.next_button.click()
        review.accept_button.click()
    window.wait(lambda: "8 accepted" in review.kept.text())
    panel = window.panel("Learn")
    panel.settings = str(target / "settings.yaml")
    Path(panel.settings).write_text("steps: 6\nevaluate_every: 2\nwarm_up: 2\nbatch_size: 2\n")
    window.wait(lambda: panel.learning.readiness is not None)
    panel.train_button.click()
    window.wait(lambda: panel.learning.training.state.final, TRAINING_TIMEOUT_S)
    window.wait(panel.gate_group.isVisible)
    panel.message.close_button.click()
    window.screenshot("9-learn")


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLOMO_HOME"] = folder
        window = Window()
        volume(window, Path(folder))
        cine(window)
        learn(window, Path(folder))
        window.viewer.close()


if __name__ == "__main__":
    main()
