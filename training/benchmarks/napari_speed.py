"""Time of a click in napari, overhead of the journal on a stroke, and memory for a cine.

    xvfb-run -a -s "-screen 0 1600x1200x24" python training/benchmarks/napari_speed.py

Measured in a real window with real clicks and mouse events. Strokes with and without the plugin's
event handlers alternate, so that their ratio holds even on a busy machine. Writes
``docs/benchmarks/napari.md``.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import psutil
from napari_window import MANIFEST, drag, open_viewer
from page_writer import REPOSITORY, document, parser_of, table, write_page

from napari_flomo.volumes import Volume, read

SAMPLES = REPOSITORY / "napari_flomo" / "samples"
SLICES = 10
FRAMES = 30
BRUSH = 20
MOVES = 12
START = """
import time
from npe2 import PluginManager, PluginManifest
PluginManager.instance()
start = time.perf_counter()
manifest = PluginManifest.from_file({!r})
PluginManager.instance().register(manifest)
print(time.perf_counter() - start)
"""


@dataclass
class Figures:
    """Measurements in seconds and megabytes."""

    start: float = 0.0
    panel: float = 0.0
    first_click: float = 0.0
    later_clicks: list[float] = field(default_factory=list)
    stroke_on: list[float] = field(default_factory=list)
    stroke_off: list[float] = field(default_factory=list)
    viewer_before: float = 0.0
    viewer_after: float = 0.0
    worker_peak: float = 0.0
    cine_mb: float = 0.0


class Window:
    """A napari window with the Segment panel."""

    def __init__(self, figures: Figures) -> None:
        self.viewer = open_viewer()
        start = time.perf_counter()
        _dock, self.panel = self.viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
        figures.panel = time.perf_counter() - start

    def add(self, volume: Volume) -> Any:
        """Open an image and return its entry in the viewer state."""
        from napari_flomo.widgets.layers import layer_of_volume

        layer = self.viewer.add_image(volume.data, **layer_of_volume(volume))
        return self.panel.viewer_state.entry_of(layer)

    def click(self, watch: Callable[[], None] = lambda: None) -> float:
        """Click Segment and return the seconds until the mask is drawn."""
        from qtpy.QtWidgets import QApplication

        start = time.perf_counter()
        self.panel.segment_button.click()
        while self.panel.viewer_state.session.running is not None:
            QApplication.processEvents()
            watch()
            time.sleep(0.005)
        QApplication.processEvents()
        return time.perf_counter() - start

    def stroke(self, layer: Any, row: int) -> float:
        """Drag the brush along a row and return the seconds from press to release."""
        points = np.array([(row, column) for column in np.linspace(80, 170, MOVES)])
        return drag(self.viewer, layer, points, lambda _: None)


def measure(clicks: int, strokes: int) -> Figures:
    """Measure all."""
    from qtpy.QtWidgets import QApplication

    figures = Figures()
    program = START.format(str(MANIFEST))
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        for _ in range(5)
    ]
    figures.start = statistics.median(float(run.stdout) for run in runs)
    window = Window(figures)
    whole = read(SAMPLES / "sunnybrook_ed.nii.gz")
    entry = window.add(replace(whole, data=whole.data[1 : 1 + SLICES]))
    figures.first_click = window.click()
    figures.later_clicks = [window.click() for _ in range(clicks)]
    measure_strokes(window, entry, figures, strokes)
    window.viewer.layers.clear()
    QApplication.processEvents()
    measure_cine(window, figures)
    window.viewer.close()
    return figures


def measure_strokes(window: Window, entry: Any, figures: Figures, strokes: int) -> None:
    """Paint the same stroke with and without the plugin's event handlers, alternately."""
    from napari_flomo.widgets import label_events

    layer = entry.labels
    layer.mode, layer.brush_size, layer.selected_label = "paint", BRUSH, 2
    window.viewer.dims.set_current_step(0, 5)
    for number in range(2 * strokes + 2):
        on = number % 2 == 0
        if on:
            label_events.follow(window.panel.viewer_state, entry)
        else:
            entry.stop_watching()
        seconds = window.stroke(layer, 100 + number % 40)
        if number >= 2:  # the first of each warms up
            (figures.stroke_on if on else figures.stroke_off).append(seconds)
        if on:
            entry.stop_watching()
        layer.undo()
    label_events.follow(window.panel.viewer_state, entry)


def measure_cine(window: Window, figures: Figures) -> None:
    """Segment a cine of 30 frames and record the memory of both processes."""
    cine = read(SAMPLES / "sunnybrook_cine.nii.gz")
    frames = np.concatenate([cine.data] * (FRAMES // cine.n_frames))
    me = psutil.Process()
    figures.viewer_before = me.memory_info().rss / 1e6
    entry = window.add(replace(cine, data=frames))
    figures.cine_mb = frames.nbytes / 1e6
    window.panel.form.scope.value = "all"

    def watch() -> None:
        for child in me.children():
            used = child.memory_info().rss / 1e6
            figures.worker_peak = max(figures.worker_peak, used)

    window.click(watch)
    assert entry.labels is not None
    figures.viewer_after = me.memory_info().rss / 1e6


def page(figures: Figures, clicks: int, strokes: int) -> str:
    """Return the page as Markdown."""
    on, off = statistics.median(figures.stroke_on), statistics.median(figures.stroke_off)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    later = statistics.median(figures.later_clicks)
    rows = [
        ("reading and registering the manifest at napari's start", f"{figures.start:.3g} s"),
        ("opening the Segment panel", f"{figures.panel:.3g} s"),
        (
            f"first click to mask, {SLICES} slices, worker not yet started",
            f"{figures.first_click:.3g} s",
        ),
        (f"later clicks, median of {clicks}", f"{later:.3g} s"),
        (
            f"stroke of a {BRUSH}-pixel brush, {MOVES} mouse events, napari alone",
            f"{off * 1e3:.3g} ms",
        ),
        ("the same with measures and journal", f"{on * 1e3:.3g} ms"),
        (
            f"**ratio of the strokes**, medians of {strokes} alternating strokes each",
            f"**{on / off:.2f}**",
        ),
        (
            f"memory before and after a cine of {FRAMES} frames ({figures.cine_mb:.0f} MB)"
            " with its results",
            f"{figures.viewer_before:.0f} and {figures.viewer_after:.0f} MB",
        ),
        ("peak memory of the worker for that cine", f"{figures.worker_peak:.0f} MB"),
    ]
    return document(
        "# Speed in napari",
        "Written by `training/benchmarks/napari_speed.py`; do not edit by hand.",
        table(["what", "measured"], rows),
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, no GPU, software "
        f"rendering, load average {load} (other work was running: the times are upper bounds, the "
        "ratio holds). A later click segments the same slices again; it ends when the mask is "
        "drawn.",
    )


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "napari.md")
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--strokes", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLOMO_HOME"] = folder
        text = page(measure(args.clicks, args.strokes), args.clicks, args.strokes)
    write_page(args.out, text)


if __name__ == "__main__":
    main()
