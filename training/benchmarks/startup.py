"""From the start of a process to the mask: seconds, memory, installed size, the first click.

    xvfb-run -a -s "-screen 0 1600x1200x24" python training/benchmarks/startup.py

All processes run in turns, so other load on the computer affects them equally. For POSIX systems.
Writes ``docs/benchmarks/startup.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from page_writer import SAMPLE, document, parser_of, processor, table, table_of, write_page

from napari_flomo.commands.extras import extra_sizes, package_sizes

ROUNDS = 5
SECONDS_OPEN = 5
"""Time between opening the panel and the first click."""

_SEGMENT = ["-m", "napari_flomo", "segment", str(SAMPLE), "-q", "-o"]


@dataclass
class Cost:
    """What a process took: seconds by the clock, processor seconds, and peak memory in MB."""

    wall: float
    processor: float
    memory: float


def cost_of(arguments: list[str], home: Path) -> Cost:
    """Run Python with arguments and a cache folder, and return its cost."""
    start = time.perf_counter()
    environment = os.environ | {"FLOMO_HOME": str(home)}
    process = subprocess.Popen([sys.executable, *arguments], stdout=-3, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{arguments} ended with {status}")
    scale = 1e6 if sys.platform == "darwin" else 1e3
    wall = time.perf_counter() - start
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / scale)


def measure(folder: Path) -> dict[str, Cost]:
    """Return the medians of the costs of each command."""
    commands = {
        "`flomo segment`": [*_SEGMENT, str(folder / "mask.nii.gz")],
        "the same, first run on a computer": [*_SEGMENT, str(folder / "mask.nii.gz")],
        "`flomo segment --engine onnxruntime`": [
            *_SEGMENT, str(folder / "mask.nii.gz"), "--engine", "onnxruntime",
        ],
        "`flomo segment --engine eager` (PyTorch)": [
            *_SEGMENT, str(folder / "mask.nii.gz"), "--engine", "eager",
        ],
        "`import torch`": ["-c", "import torch"],
        "`import napari_flomo.segmentation`": ["-c", "import napari_flomo.segmentation"],
        "`flomo --help`": ["-m", "napari_flomo", "--help"],
    }  # fmt: skip
    (folder / "home").mkdir()
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, arguments in commands.items():
            home = folder / "home"
            if "first run" in name:
                home = folder / "empty"
                shutil.rmtree(home, ignore_errors=True)
            cost = cost_of(arguments, home)
            if number:  # the first round fills the caches
                costs[name].append(cost)
    return {name: _median(found) for name, found in costs.items()}


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(one.wall for one in costs),
        statistics.median(one.processor for one in costs),
        statistics.median(one.memory for one in costs),
    )


def first_click() -> float:
    """Return the seconds from the first click on Segment to the labels in a napari window."""
    from napari_window import open_viewer
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from napari_flomo.widgets.viewer_state import viewer_state_of

    viewer = open_viewer()
    viewer.open(SAMPLE, plugin="napari-flomo")
    _dock, panel = viewer.window.add_plugin_dock_widget("napari-flomo", "Segment")
    opened = time.perf_counter()
    while time.perf_counter() < opened + SECONDS_OPEN:
        QApplication.processEvents()
        time.sleep(0.01)
    session = viewer_state_of(viewer).session
    start = time.perf_counter()
    QTest.mouseClick(panel.segment_button, Qt.MouseButton.LeftButton)
    while session.running is not None:
        QApplication.processEvents()
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    if not any(layer.as_layer_data_tuple()[2] == "labels" for layer in viewer.layers):
        raise SystemExit("the click gave no labels")
    viewer.close()
    return seconds


def clicks(home: Path) -> float:
    """Return the median of `first_click` in fresh processes."""
    environment = os.environ | {"FLOMO_HOME": str(home)}
    command = [sys.executable, __file__, "--click"]
    found = [
        json.loads(subprocess.check_output(command, env=environment).splitlines()[-1])
        for _ in range(ROUNDS)
    ]
    return float(statistics.median(found))


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "startup.md")
    parser.add_argument("--click", action="store_true", help="print the seconds of a first click")
    parser.add_argument("--note", default="", help="a sentence on the conditions, for the page")
    options = parser.parse_args()
    if options.click:
        print(first_click())
        return
    with tempfile.TemporaryDirectory(prefix="flomo-") as name:
        folder = Path(name)
        costs = measure(folder)
        click = clicks(folder / "home")
    write_page(options.out, page(costs, click, options.note))


def page(costs: dict[str, Cost], click: float, note: str) -> str:
    """Return the page."""
    torch = costs["`import torch`"]
    times = table_of(
        costs.items(),
        {
            "process": "{0[0]}",
            "seconds": "{0[1].wall:.2f}",
            "processor seconds": "{0[1].processor:.2f}",
            "of `import torch`": lambda one: f"{one[1].wall / torch.wall:.2f}",
            "the same, processor": lambda one: f"{one[1].processor / torch.processor:.2f}",
            "peak memory, MB": "{0[1].memory:.0f}",
        },
    )
    megabytes, packages = extra_sizes()[1], largest_packages()
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return document(
        "# Starting up",
        "Written by `training/benchmarks/startup.py`; do not edit by hand.",
        times,
        "The sample, 12 slices of 256 x 256 pixels, from the start of the process to its end, with "
        f"the mask written. Medians of {ROUNDS} rounds, all processes in turns. In the first run "
        "on a computer OpenVINO compiles the graph, which it then keeps in the cache. "
        f"{processor()[0]}, {os.cpu_count()} cores, OMP_NUM_THREADS="
        f"{os.environ.get('OMP_NUM_THREADS', 'unset')}, load average {load}. {note}",
        "## First click in napari",
        f"From the click on **Segment** to the labels, in a window whose panel was opened "
        f"{SECONDS_OPEN} seconds before, with the viewer's own worker process: {click:.2f} s "
        f"(median of {ROUNDS} windows). By then the worker has loaded the model.",
        "## Installed size",
        f"`pip install napari-flomo` brings {megabytes['base']} MB, without bytecode; the largest "
        "packages, and those that extras add:",
        table(["package", "MB"], packages),
        table(
            ["extra", "adds MB"], [[name, mb] for name, mb in megabytes.items() if name != "base"]
        ),
        INSTALL_NOTE,
    )


def largest_packages() -> list[tuple[str, str]]:
    """Return name and size of the largest packages that an installation without extras has."""
    largest = sorted(package_sizes().items(), key=lambda item: -item[1])[:8]
    return [(name, f"{size / 1e6:.0f}") for name, size in largest]


INSTALL_NOTE = """\
ONNX Runtime is 120 MB smaller than OpenVINO and starts no faster, but computes volumes at half the
speed ([speed](speed.md)), so OpenVINO stays the engine of the base. SimpleITK, a third of the base,
is the only reader of MetaImage, decodes compressed DICOM images that pydicom cannot decode alone,
and computes the distances of the label tools; without it those files would not open. SciPy is a
dependency of scikit-image. Together they are three quarters of the base, which cannot get below
400 MB without losing a format or half the speed."""

if __name__ == "__main__":
    main()
