"""How long napari does not respond: next slice, accept, opening Review, restoring after a crash.

    xvfb-run -a -s "-screen 0 1600x1200x24" python training/benchmarks/napari_delays.py

Measured in a real window with real keys, on a cine of 30 frames and 12 slices. Every delay is given
twice: by the clock, and as processor time of the window's thread, which does not grow when other
programs use the processor. As after a crash, edits are restored in a new process. Writes
``docs/benchmarks/napari_delays.md``.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from napari_window import open_viewer
from page_writer import MISSING, document, parser_of, processor, table, write_page

from napari_flomo.volumes import Geometry, Volume

FRAMES, SLICES = 30, 12
RESTORES = 3
LIMITS: dict[str, int] = {"accept": 100, "next": 100, "review": 300, "restore": 100}
TITLES = {
    "next": "key N to the next slice on the screen, median of {count}",
    "accept": "key A to the next slice on the screen, median of {count}",
    "review": "opening the Review panel",
    "restore": "longest turn of the event loop during a restore",
    "collection": "a full collection of Python's garbage, which may fall into any turn",
    "prepared": "for comparison: napari alone adds image and labels, prepared in the same way",
    "napari": "for comparison: napari alone adds image and labels, unprepared",
}


@dataclass
class Delay:
    """One delay in milliseconds: by the clock, and processor time of the window's thread."""

    wall: float
    processor: float


@dataclass
class Stopwatch:
    """Delays by name; ``profile`` collects where the time goes."""

    delays: dict[str, list[Delay]] = field(default_factory=dict)
    profile: cProfile.Profile | None = None

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the code in a ``with`` statement."""
        if self.profile is not None:
            self.profile.enable()
        wall, used = time.perf_counter(), time.thread_time()
        yield
        delay = Delay((time.perf_counter() - wall) * 1e3, (time.thread_time() - used) * 1e3)
        if self.profile is not None:
            self.profile.disable()
        self.delays.setdefault(name, []).append(delay)

    def median(self, name: str) -> Delay:
        """Return the median of the delays with a name."""
        found = self.delays[name]
        return Delay(
            statistics.median(one.wall for one in found),
            statistics.median(one.processor for one in found),
        )


class Window:
    """A window with a segmented cine."""

    def __init__(self, size: int) -> None:
        from napari_flomo.widgets.viewer_state import viewer_state_of

        self.viewer = open_viewer()
        self.state = viewer_state_of(self.viewer)
        _dock, self.segment = self.viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
        self.segment_cine(size)
        self.draw()

    def segment_cine(self, size: int) -> None:
        """Open a cine and give it labels as a run does."""
        from napari_flomo.models import info
        from napari_flomo.segmentation import Segmentation
        from napari_flomo.session import Scope
        from napari_flomo.session.merging import merge_result, put_result
        from napari_flomo.widgets.reader import layer_data

        volume = make_cine(size)
        data, arguments, _kind = layer_data(volume)
        layer = self.viewer.add_image(data, **(arguments | {"name": "cine"}))
        entry: Any = self.state.entry_of(layer)
        self.entry = entry
        image = self.image = self.state.open_image(self.entry)
        labels = volume.with_data(make_labels(volume.data.shape))
        scores = np.random.default_rng(0).random((FRAMES, SLICES)).astype(np.float32)
        uncertainty = volume.with_data(np.zeros(volume.data.shape, np.float16))
        card = info("flomo-b0-acdc")[1]
        result = Segmentation(labels, None, {"entropy": uncertainty}, scores, {}, card)
        put_result(image, merge_result(image, result, Scope()))
        self.state.adapter.show_labels(self.entry.key)

    def draw(self) -> None:
        """Handle all events, which draws the window."""
        from qtpy.QtWidgets import QApplication

        for _ in range(3):
            QApplication.processEvents()

    def press(self, key: Any) -> None:
        """Press a key over the canvas and draw the window."""
        from qtpy.QtTest import QTest

        canvas = self.viewer.window._qt_viewer.canvas
        QTest.keyClick(canvas.native, key)
        self.draw()


def make_cine(size: int) -> Volume:
    """Return a cine of noise."""
    values = np.random.default_rng(0).integers(0, 1000, (1, SLICES, size, size), dtype=np.int16)
    data = np.concatenate([values] * FRAMES)
    return Volume(data, Geometry((1.4, 1.4, 8.0)), ("frames", "slices", "rows", "columns"))


def make_labels(shape: tuple[int, ...]) -> np.ndarray:
    """Return rings: a cavity within a wall."""
    labels = np.zeros(shape, np.uint8)
    middle = shape[-1] // 2
    for code, radius in ((2, shape[-1] // 8), (3, shape[-1] // 12)):
        labels[..., middle - radius : middle + radius, middle - radius : middle + radius] = code
    return labels


def measure_review(window: Window, watch: Stopwatch, repetitions: int) -> None:
    """Open Review, go through slices and accept them."""
    from qtpy.QtCore import Qt

    with watch.measure("review"):
        window.viewer.window.add_plugin_dock_widget("napari-flomo", "Review", tabify=True)
        window.draw()
    for name, key in (("next", Qt.Key.Key_N), ("accept", Qt.Key.Key_A)):
        window.press(key)  # the first warms up
        for _ in range(repetitions):
            with watch.measure(name):
                window.press(key)


def leave_edits(window: Window) -> None:
    """Paint, and close the image as a crash does."""
    layer = window.entry.labels
    layer.selected_label, layer.brush_size = 1, 10
    for number in range(20):
        layer.paint((number % FRAMES, number % SLICES, 20 + number, 30), 1)
    wait(lambda: window.image.autosave is not None)
    assert window.image.autosave is not None
    assert window.image.autosave.flush(120)
    window.viewer.layers.clear()


def restore(_size: int, profile: cProfile.Profile | None) -> Delay:
    """Restore the edits from the list in a new window, and return the longest turn."""
    from napari_flomo.widgets.viewer_state import viewer_state_of

    viewer = open_viewer()
    _dock, segment = viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
    viewer.window.add_plugin_dock_widget("napari-flomo", "Review", tabify=True)
    unsaved = viewer_state_of(viewer).presenter.unsaved
    wait(lambda: bool(segment.unsaved.rows))
    steps = [segment.unsaved.rows[0].restore_button.click]

    def ended() -> bool:
        return unsaved.restoring is not None and unsaved.restoring.ended

    return longest_turn(steps, ended, profile)


def add_prepared(size: int, profile: cProfile.Profile | None) -> Delay:
    """Add image and labels to napari after the preparations of a restore."""
    from napari_flomo.widgets.warming_up import warm_up

    warm_up()
    return add_to_napari(size, profile)


def add_to_napari(size: int, profile: cProfile.Profile | None) -> Delay:
    """Add image and labels in a new window without panels, and return the longest turn."""
    viewer, cine = open_viewer(), make_cine(size)
    labels = make_labels(cine.data.shape)
    steps: list[Callable[[], Any]] = [
        lambda: setattr(viewer.dims, "ndim", cine.data.ndim),
        lambda: viewer.add_image(cine.data, contrast_limits=(0, 1000)),
        lambda: viewer.add_labels(labels),
    ]
    return longest_turn(steps, lambda: not steps, profile)


def longest_turn(
    steps: list[Callable[[], Any]], done: Callable[[], bool], profile: cProfile.Profile | None
) -> Delay:
    """Take a step in each turn of the event loop, and go on until the work is done."""
    from qtpy.QtCore import QEventLoop, QTimer

    wait(iter([False] * 50 + [True]).__next__)  # the window is drawn
    loop, timer, ticks = QEventLoop(), QTimer(), []

    def tick() -> None:
        over = not steps and done()
        ticks.append((time.perf_counter(), time.thread_time()))
        if steps:
            steps.pop(0)()
        elif over:
            loop.quit()

    timer.timeout.connect(tick)
    gc.disable()
    if profile is not None:
        profile.enable()
    timer.start(0)
    loop.exec()
    if profile is not None:
        profile.disable()
    gc.enable()
    turns = np.diff(np.array(ticks), axis=0) * 1e3
    print("longest turns, ms of the thread:", np.sort(turns[:, 1])[-6:].round().tolist())
    return Delay(*(float(value) for value in turns.max(0)))


def collect(size: int, profile: cProfile.Profile | None) -> Delay:
    """Return how long the garbage collection after a restore takes."""
    restore(size, profile)
    wall, used = time.perf_counter(), time.thread_time()
    gc.collect()
    return Delay((time.perf_counter() - wall) * 1e3, (time.thread_time() - used) * 1e3)


CHILDREN = {
    "restore": restore,
    "collection": collect,
    "prepared": add_prepared,
    "napari": add_to_napari,
}


def measure_in_child(name: str, args: argparse.Namespace, watch: Stopwatch) -> None:
    """Measure in new processes, in which napari has not shown any labels yet."""
    command = [sys.executable, __file__, "--child", name, "--size", str(args.size)]
    if args.profile == name:
        command += ["--profile", name]
    for _ in range(RESTORES):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(output.rpartition("\n{")[0])
        watch.delays.setdefault(name, []).append(Delay(**json.loads(output.splitlines()[-1])))


def wait(done: Callable[[], bool]) -> None:
    """Handle events until something is done."""
    from qtpy.QtWidgets import QApplication

    while not done():
        QApplication.processEvents()
        time.sleep(0.005)


RESTORE = """\
A restore is measured as after a crash, in a new process that has not shown any layer yet. With its
first layers, napari imports pandas, reads units and compiles the colours of labels; a restore does
that in the thread that reads the edits. The sliders, the image, the labels and their selection
then follow in turns of their own; what is drawn counts with the turn before it. The longest turns
are those in which napari inserts the image and the labels: it creates the controls and all visuals
of the layer in one call, which cannot be divided. The last two rows show what this call takes
without the plugin; where napari alone is beyond the limit, a restore cannot meet it. Python
collects garbage when it likes; a full collection often falls into one of these turns, because so
much has just been loaded. It is measured on its own, and was off for the other rows."""


def page(watch: Stopwatch, size: int, repetitions: int) -> str:
    """Return the page as Markdown."""
    rows = []
    for name, title in TITLES.items():
        delay = watch.median(name)
        limit = f"{LIMITS[name]} ms" if name in LIMITS else MISSING
        cells = (f"{delay.processor:.0f} ms", f"{delay.wall:.0f} ms", limit)
        rows.append((title.format(count=repetitions), *cells))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return document(
        "# Delays in napari",
        "Written by `training/benchmarks/napari_delays.py`; do not edit by hand.",
        table(["what", "processor time", "by the clock", "limit"], rows),
        f"A cine of {FRAMES} frames, {SLICES} slices and {size} × {size} pixels. Processor time is "
        "that of the window's thread, including napari's own work and drawing; the limit applies "
        "to it, because by the clock the delays grow with the load of the computer. The last "
        f"four rows are medians of {RESTORES} new processes.",
        RESTORE,
        f"{processor()[0]}, {os.cpu_count()} cores, no GPU, software rendering, load average "
        f"{load}.",
    )


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "napari_delays.md")
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--profile", choices=("review", *CHILDREN), help="print where time goes")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    args = parser.parse_args()
    profile = cProfile.Profile() if args.profile else None
    if args.child:
        delay = CHILDREN[args.child](args.size, profile if args.profile == args.child else None)
        print_profile(profile)
        print(json.dumps(asdict(delay)), flush=True)
        os._exit(0)  # as in a crash, the edits stay unsaved
    watch = Stopwatch(profile=profile if args.profile == "review" else None)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLOMO_HOME"] = folder
        window = Window(args.size)
        measure_review(window, watch, args.repetitions)
        leave_edits(window)
        for name in CHILDREN:
            measure_in_child(name, args, watch)
        text = page(watch, args.size, args.repetitions)
        window.viewer.close()
    if profile is None:
        write_page(args.out, text)
    else:
        print(text)
        print_profile(watch.profile)


def print_profile(profile: cProfile.Profile | None) -> None:
    """Print the functions that took longest."""
    if profile is not None and profile.getstats():
        pstats.Stats(profile, stream=sys.stdout).sort_stats("cumulative").print_stats(70)


if __name__ == "__main__":
    main()
