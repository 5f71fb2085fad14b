"""Cost of storing a correction and of finding it among a thousand.

    python training/benchmarks/correction_store.py

Times are processor times, which hold on a busy machine too; the number of disk flushes is counted
separately. Writes ``docs/benchmarks/correction_store.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from page_writer import DOCS, document, table, write_page

from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.volumes import Geometry, Volume, read

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "docs" / "samples" / "sunnybrook_ed.nii.gz"
SLICES = 10
STRUCTURES = {1: "RV", 2: "myocardium", 3: "LV"}


def heart() -> Correction:
    """Return a correction of ten real slices; the labels are discs of the size of a heart."""
    whole = read(SAMPLE)
    image = replace(whole, data=np.ascontiguousarray(whole.data[:SLICES]))
    rows, columns = np.ogrid[: image.data.shape[1], : image.data.shape[2]]
    radius = np.hypot(rows - 128, columns - 118)
    disc = np.select([radius < 20, radius < 28, radius < 40], [3, 2, 1], 0).astype(np.uint8)
    proposed = np.repeat(disc[None], SLICES, axis=0)
    corrected = proposed.copy()
    corrected[4:7, 120:136, 80:90] = 1
    places = [(0, index) for index in range(SLICES)]
    return Correction(
        image, image.with_data(corrected), STRUCTURES, image.with_data(proposed), places, "accepted"
    )


def small(number: int) -> Correction:
    """Return a correction of a tiny image with unique content."""
    image = Volume(np.full((2, 8, 8), number, np.int16), Geometry((1, 1, 8)))
    labels = image.with_data(np.ones((2, 8, 8), np.uint8))
    return Correction(image, labels, STRUCTURES, labels, [(0, 1)], "accepted")


class Disk:
    """Counts flushes without executing them, so that only our own work is timed."""

    def __init__(self) -> None:
        self.flushes = 0

    def fsync(self, _descriptor: int) -> None:
        """Replace ``os.fsync``."""
        self.flushes += 1


@contextmanager
def counted() -> Iterator[Disk]:
    """Replace ``os.fsync`` temporarily."""
    disk, real = Disk(), os.fsync
    os.fsync = disk.fsync  # type: ignore[assignment]
    try:
        yield disk
    finally:
        os.fsync = real


def milliseconds(task: Callable[[], object]) -> float:
    """Return the processor time of a task."""
    start = time.process_time()
    task()
    return (time.process_time() - start) * 1e3


def read_first(store: CorrectionStore) -> Correction:
    """Look a correction up and read it."""
    return store.read(store.records()[0].id)


def measure(folder: Path, runs: int, records: int) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what, median in ms, flushes."""
    made = heart()
    times: dict[str, list[float]] = {}
    flushes: dict[str, int] = {}
    for run in range(runs):
        store = CorrectionStore.open(folder / f"hearts{run}", create=True)
        later = replace(made, state="rejected")
        tasks: dict[str, Callable[[], object]] = {
            "add a correction of ten slices": partial(store.add, made),
            "add it again unchanged": partial(store.add, made),
            "add a revision of it": partial(store.add, later),
            "read it back, checked": partial(read_first, store),
            "verify the store": store.verify,
        }
        for name, task in tasks.items():
            with counted() as disk:
                times.setdefault(name, []).append(milliseconds(task))
            flushes[name] = disk.flushes
    many = CorrectionStore.open(folder / "many", create=True)
    with counted():
        for number in range(records):
            many.add(small(number))
    name = f"list {records} corrections"
    times[name] = [milliseconds(many.records) for _ in range(runs)]
    name = f"add one to {records}"
    with counted() as disk:
        times[name] = [milliseconds(partial(many.add, small(-n))) for n in range(1, runs + 1)]
    flushes[name] = disk.flushes // runs
    return [
        (name, f"{statistics.median(found):.0f}", str(flushes.get(name, 0)))
        for name, found in times.items()
    ]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--records", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), args.runs, args.records)
    command = f"python training/benchmarks/correction_store.py --runs {args.runs}"
    text = document(
        "# Correction store",
        f"Ten slices of 256 x 256 pixels; one core, Python {platform.python_version()}, medians of "
        f"{args.runs} runs.",
        table(["", "processor time, ms", "disk flushes"], rows),
        "The duration of a flush depends on the disk; it makes a correction survive a power cut.",
        f"Made by `{command} --records {args.records}`.",
    )
    write_page(DOCS / "correction_store.md", text)


if __name__ == "__main__":
    main()
