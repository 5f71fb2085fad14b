"""Scaling of `flomo segment-many` with workers, and the overhead of a study.

    python training/benchmarks/cohort_scaling.py --workers 1 2 --studies 40 --runs 3

Three measurements on copies of the sample that comes with the package: whole runs with each number
of workers, alternating; a run over studies of which only the date of the file is new, which passes
the scheduler and the manifest without the network; and a run in which all studies are finished.
From these the page estimates the needs of a hundred workers and a million studies. Writes
``docs/benchmarks/cohorts.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import psutil
from page_writer import (
    REPOSITORY,
    document,
    parser_of,
    processor,
    table,
    table_of,
    write_page,
)
from timing import timed

from napari_flomo import DEFAULT_MODEL
from napari_flomo.cohorts import CohortConfig, find_studies, segment_cohort
from napari_flomo.cohorts.config import StudyTask
from napari_flomo.cohorts.manifest import MANIFEST, CohortManifest, begin_run
from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.models import load_card, locate
from napari_flomo.progress import Progress
from napari_flomo.volumes import stamp_of

SAMPLE = REPOSITORY / "napari_flomo" / "samples" / "sunnybrook_ed.nii.gz"
CONTENT = b"image"
MANY_WORKERS, MANY_STUDIES = 100, 1_000_000


@dataclass
class Scaling:
    """Runs with one number of workers."""

    workers: int
    seconds: list[float] = field(default_factory=list)  # of whole runs
    steady: list[float] = field(default_factory=list)  # studies per second between first and last
    megabytes: list[float] = field(default_factory=list)  # of the largest worker


@dataclass(frozen=True)
class Costs:
    """Overhead of a study."""

    touched: float  # seconds in scheduler, worker and manifest
    looked_up: float  # seconds to look up a finished study
    row_bytes: float
    memory_bytes: float  # of the scheduling process
    input_bytes: int
    output_bytes: int


def main() -> None:
    """Measure and write the page."""
    parser = parser_of(__doc__, "cohorts.md")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, os.cpu_count() or 2])
    parser.add_argument("--studies", type=int, default=40, help="in each of the runs")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--touched", type=int, default=2000, help="studies of which only the date is new"
    )
    parser.add_argument("--known", type=int, default=20_000, help="finished studies")
    parser.add_argument("--engine", default="auto")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scalings = scale(Path(folder), args)
        costs = cost(Path(folder), args)
    write_page(args.out, page(scalings, costs, args))


def scale(scratch: Path, args: argparse.Namespace) -> list[Scaling]:
    """Segment a small cohort with each number of workers, alternating."""
    root = scratch / "images"
    root.mkdir()
    for number in range(args.studies):
        shutil.copy(SAMPLE, root / f"{number:06}.nii.gz")
    scalings = [Scaling(workers) for workers in args.workers]
    for _ in range(args.runs):
        for scaling in scalings:
            out = scratch / "out"
            config = CohortConfig(root, out, device="cpu", engine=args.engine)
            ends: list[float] = []

            def note(progress: Progress, ends: list[float] = ends) -> None:
                ends.extend([time.perf_counter()] * (progress.done - len(ends)))

            run = partial(
                segment_cohort,
                config,
                locate(DEFAULT_MODEL),
                workers=scaling.workers,
                progress=note,
            )
            with _Peak() as peak:
                seconds, summary = timed(run)
            scaling.seconds.append(seconds)
            assert summary.failed == 0, summary.failures[:1]
            scaling.steady.append((len(ends) - 1) / (ends[-1] - ends[0]))
            scaling.megabytes.append(peak.bytes / 1e6)
            shutil.copytree(out, scratch / "last", dirs_exist_ok=True)
            shutil.rmtree(out)
    return scalings


class _Peak:
    """Samples the memory of the largest process: this one, or one of its children."""

    def __init__(self) -> None:
        self.bytes = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        this = psutil.Process()
        while not self._end.wait(0.25):
            for process in this.children(recursive=True) or [this]:
                try:
                    self.bytes = max(self.bytes, process.memory_info().rss)
                except psutil.Error:
                    continue


def cost(scratch: Path, args: argparse.Namespace) -> Costs:
    """Measure the overhead on studies that the manifest lists as finished."""
    known = StudyResult.from_line((scratch / "last" / MANIFEST).read_bytes().splitlines()[0])
    assert known is not None
    labels = scratch / "last" / known.outputs["labels"]
    folder = locate(DEFAULT_MODEL)

    config = prefilled(scratch / "touched", known, args.touched)
    for study in find_studies(config.root):
        os.utime(config.root / study.id)
    workers = max(2, *args.workers)
    steps: list[tuple[float, int]] = []

    def note(progress: Progress) -> None:
        steps.append((time.perf_counter(), progress.done))

    segment_cohort(config, folder, workers=workers, progress=note)
    (first, few), (last, all_of_them) = steps[1], steps[-1]  # before the first, workers start
    touched = (last - first) / (all_of_them - few)

    config = prefilled(scratch / "known", known, args.known)
    tracemalloc.start()
    # Memory at the start of a run: the studies, their lines in the manifest, and the tasks.
    studies = list(find_studies(config.root))
    manifest, tasks = CohortManifest(config.out), [StudyTask(study) for study in studies]
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    results = (config.out / MANIFEST).stat().st_size / len(studies)
    del manifest, tasks
    seconds, summary = timed(partial(segment_cohort, config, folder, workers=1))
    looked_up = seconds / args.known
    assert summary.kept == args.known
    sizes = SAMPLE.stat().st_size, labels.stat().st_size
    return Costs(touched, looked_up, results, memory / args.known, *sizes)


def prefilled(scratch: Path, known: StudyResult, studies: int) -> CohortConfig:
    """Make a cohort of small files that the manifest lists as finished."""
    root, out = scratch / "images", scratch / "out"
    root.mkdir(parents=True)
    out.mkdir()
    for number in range(studies):
        place = root / f"{number // 1000:04}"
        place.mkdir(exist_ok=True)
        # Small files, so that the disk is not what is measured.
        (place / f"{number:06}.nii.gz").write_bytes(CONTENT)
    card = load_card(DEFAULT_MODEL)
    model = {"name": card.name, "card_sha256": card.card_hash, "weights_sha256": card.sha256}
    config = begin_run(CohortConfig(root, out, device="cpu", engine="auto"), model, again=False)
    manifest, results = CohortManifest(out), []
    assert known.input is not None
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    for study in find_studies(root):
        outputs = config.outputs(study.id)
        (out / outputs["labels"]).parent.mkdir(parents=True)
        (out / outputs["labels"]).touch()
        source = replace(known.input, stamp=stamp_of(study, root) or "", sha256=sha256)
        results.append(replace(known, study=study.id, outputs=outputs, input=source))
    manifest.add(results)
    return config


def page(scalings: list[Scaling], costs: Costs, args: argparse.Namespace) -> str:
    """Return the page."""
    import distributed
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    first = statistics.median(scalings[0].steady)
    rate = max(statistics.median(one.steady) / one.workers for one in scalings)
    return document(
        "# Cohorts",
        f"`flomo segment-many` over {args.studies} copies of the sample "
        f"`sunnybrook_ed.nii.gz` (CC0) with `{DEFAULT_MODEL}`, engine `{args.engine}`, on "
        f"{cores} cores ({processor()[0]}), torch {torch.__version__}, distributed "
        f"{distributed.__version__}, Python {platform.python_version()}; medians of {args.runs} "
        "alternating runs. One worker runs in the command's own process with all cores; several "
        "workers share the cores. Nothing is random.",
        table_of(
            scalings,
            {
                "workers": "{0.workers}",
                "total time, s": lambda one: f"{statistics.median(one.seconds):.1f}",
                "studies per second, steady": lambda one: f"{statistics.median(one.steady):.2f}",
                "speedup": lambda one: f"{statistics.median(one.steady) / first:.2f}",
                "largest process, MB": lambda one: f"{max(one.megabytes):.0f}",
            },
        ),
        "*Total time* includes the start of the workers and writing the table; *steady* is "
        "measured from the end of the first study to the end of the last.",
        "## Overhead per study",
        table(
            ["", "", "measured on"],
            [
                ["scheduler, worker and manifest", f"{costs.touched * 1e3:.2f} ms per study",
                 f"{args.touched} small files of which only the date is new"],
                ["listing, lookup and table of finished studies",
                 f"{costs.looked_up * 1e3:.3f} ms per study", f"{args.known} finished studies"],
                ["line in the manifest", f"{costs.row_bytes:.0f} bytes", "the same"],
                ["memory of the scheduling process", f"{costs.memory_bytes:.0f} bytes per study",
                 "the same"],
                ["image read, labels written", f"{costs.input_bytes / 1e3:.0f} kB, "
                 f"{costs.output_bytes / 1e3:.1f} kB", "the sample"],
            ],
        ),
        f"## Estimate: {MANY_WORKERS} workers, {MANY_STUDIES:,} studies",
        "Estimated from the figures above, not measured: each worker as fast as the fastest one "
        "here, studies like the sample.",
        _estimate(rate, costs),
        f"Made by `python training/benchmarks/cohort_scaling.py {' '.join(sys.argv[1:])}`.",
    )  # fmt: skip


def _estimate(rate: float, costs: Costs) -> str:
    """Return the table of what was not measured; ``rate`` is in studies per second and worker."""
    demand = rate * MANY_WORKERS
    capacity = 1 / costs.touched
    actual = min(demand, capacity)
    return table(
        ["", "", "from"],
        [
            ["studies per second, limit of the workers", f"{demand:.0f}",
             f"{rate:.2f} per worker"],
            ["studies per second, limit of the scheduler and manifest", f"{capacity:.0f}",
             f"{costs.touched * 1e3:.2f} ms each"],
            ["hours in total", f"{MANY_STUDIES / actual / 3600:.1f}", "the smaller limit"],
            ["images read", f"{actual * costs.input_bytes / 1e6:.0f} MB/s, "
             f"{MANY_STUDIES * costs.input_bytes / 1e12:.2f} TB", "size of the sample"],
            ["labels written", f"{actual * costs.output_bytes / 1e6:.2f} MB/s, "
             f"{MANY_STUDIES * costs.output_bytes / 1e9:.0f} GB, {actual:.0f} files/s", "the same"],
            ["manifest", f"{MANY_STUDIES * costs.row_bytes / 1e9:.1f} GB", "bytes per line"],
            ["memory of the scheduling process",
             f"{MANY_STUDIES * costs.memory_bytes / 1e9:.1f} GB", "bytes per study"],
            ["tasks in the scheduler at a time", str(MANY_WORKERS), "one per worker thread"],
            ["minutes to look up a finished cohort",
             f"{MANY_STUDIES * costs.looked_up / 60:.1f}",
             "on a local disk; three requests per study on a shared one"],
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
