"""How `flomo segment-many` scales with workers, and what a study costs beside the network.

    python training/benchmarks/cohort_scaling.py --workers 1 2 --studies 40 --runs 3

Three measurements on copies of the sample that comes with the package: whole runs with each number
of workers, in turns; a run over studies whose files have a new date only, which goes the whole way
from the scheduler to the manifest without the network; and a run where all is done before. From
these the page reckons what a hundred workers and a million studies would need. Prints a table and
writes it as Markdown.
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
from pathlib import Path

import psutil

from napari_flomo import DEFAULT_MODEL
from napari_flomo.cohorts import Order, find_studies, segment_cohort
from napari_flomo.cohorts.inputs import stamp_of
from napari_flomo.cohorts.manifest import MANIFEST, CohortManifest, settle
from napari_flomo.cohorts.order import StudyTask
from napari_flomo.cohorts.row import Row
from napari_flomo.errors import describe
from napari_flomo.files import atomic_write
from napari_flomo.models import load_card, locate
from napari_flomo.progress import Progress

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "napari_flomo" / "samples" / "sunnybrook_ed.nii.gz"
PAGE = REPOSITORY / "docs" / "benchmarks" / "cohorts.md"
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
    """What a study costs beside the network."""

    touched: float  # seconds from the scheduler to the manifest
    looked_up: float  # seconds where it was done before
    row_bytes: float
    memory_bytes: float  # of the program that gives out the work
    input_bytes: int
    output_bytes: int


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, os.cpu_count() or 2])
    parser.add_argument("--studies", type=int, default=40, help="in each of the runs")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--touched", type=int, default=2000, help="studies with a new date only")
    parser.add_argument("--known", type=int, default=20_000, help="studies done before")
    parser.add_argument("--engine", default="fast")
    parser.add_argument("-o", "--out", type=Path, default=PAGE)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scalings = scale(Path(folder), args)
        costs = cost(Path(folder), args)
    page = report(scalings, costs, args)
    print(page)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def scale(scratch: Path, args: argparse.Namespace) -> list[Scaling]:
    """Segment a small cohort with each number of workers, in turns."""
    root = scratch / "images"
    root.mkdir()
    for number in range(args.studies):
        shutil.copy(SAMPLE, root / f"{number:06}.nii.gz")
    scalings = [Scaling(workers) for workers in args.workers]
    for _ in range(args.runs):
        for scaling in scalings:
            out = scratch / "out"
            order = Order(root, out, device="cpu", engine=args.engine)
            ends: list[float] = []

            def note(progress: Progress, ends: list[float] = ends) -> None:
                ends.extend([time.perf_counter()] * (progress.done - len(ends)))

            with _Peak() as peak:
                start = time.perf_counter()
                summary = segment_cohort(
                    order,
                    locate(DEFAULT_MODEL),
                    describe=describe,
                    workers=scaling.workers,
                    progress=note,
                )
                scaling.seconds.append(time.perf_counter() - start)
            assert summary.failed == 0, summary.failures[:1]
            scaling.steady.append((len(ends) - 1) / (ends[-1] - ends[0]))
            scaling.megabytes.append(peak.bytes / 1e6)
            shutil.copytree(out, scratch / "last", dirs_exist_ok=True)
            shutil.rmtree(out)
    return scalings


class _Peak:
    """Looks now and then at the memory of the largest process: this one, or one of its children."""

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
    """Measure what is not segmenting, on studies that are written down as done."""
    known = Row.from_line((scratch / "last" / MANIFEST).read_bytes().splitlines()[0])
    assert known is not None
    labels = scratch / "last" / known.outputs["labels"]
    folder = locate(DEFAULT_MODEL)

    order = prefilled(scratch / "touched", known, args.touched)
    for study in find_studies(order.root):
        os.utime(order.root / study.id)
    workers = max(2, *args.workers)
    told: list[tuple[float, int]] = []

    def note(progress: Progress) -> None:
        told.append((time.perf_counter(), progress.done))

    segment_cohort(order, folder, describe=describe, workers=workers, progress=note)
    (first, few), (last, all_of_them) = told[1], told[-1]  # before the first, workers start
    touched = (last - first) / (all_of_them - few)

    order = prefilled(scratch / "known", known, args.known)
    tracemalloc.start()
    # What a run holds at its beginning: the studies, their lines, and the work to give out.
    studies = list(find_studies(order.root))
    manifest, tasks = CohortManifest(order.out), [StudyTask(study) for study in studies]
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    rows = (order.out / MANIFEST).stat().st_size / len(studies)
    del manifest, tasks
    start = time.perf_counter()
    summary = segment_cohort(order, folder, describe=describe, workers=1)
    looked_up = (time.perf_counter() - start) / args.known
    assert summary.kept == args.known
    sizes = SAMPLE.stat().st_size, labels.stat().st_size
    return Costs(touched, looked_up, rows, memory / args.known, *sizes)


def prefilled(scratch: Path, known: Row, studies: int) -> Order:
    """Make a cohort of small files, written down as done."""
    root, out = scratch / "images", scratch / "out"
    root.mkdir(parents=True)
    out.mkdir()
    for number in range(studies):
        place = root / f"{number // 1000:04}"
        place.mkdir(exist_ok=True)
        # Copies of their own date, and small ones: what is measured is not the disk.
        (place / f"{number:06}.nii.gz").write_bytes(CONTENT)
    card = load_card(DEFAULT_MODEL)
    model = {"name": card.name, "card_sha256": card.card_hash, "weights_sha256": card.sha256}
    order = settle(Order(root, out, device="cpu", engine="fast"), model, again=False)
    manifest, rows = CohortManifest(out), []
    assert known.input is not None
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    for study in find_studies(root):
        outputs = order.outputs(study.id)
        (out / outputs["labels"]).parent.mkdir(parents=True)
        (out / outputs["labels"]).touch()
        source = replace(known.input, stamp=stamp_of(study, root) or "", sha256=sha256)
        rows.append(replace(known, study=study.id, outputs=outputs, input=source))
    manifest.add(rows)
    return order


def report(scalings: list[Scaling], costs: Costs, args: argparse.Namespace) -> str:
    """Return the page."""
    import distributed
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    first = statistics.median(scalings[0].steady)
    lines = [
        "# Cohorts",
        "",
        f"`flomo segment-many` over {args.studies} copies of the sample "
        f"`sunnybrook_ed.nii.gz` (CC0) with `{DEFAULT_MODEL}`, engine `{args.engine}`, on "
        f"{cores} cores ({_processor()}), torch {torch.__version__}, distributed "
        f"{distributed.__version__}, Python {platform.python_version()}; medians of {args.runs} "
        "runs in turns. One worker is the command's own process with all cores; several share the "
        "cores. No seed: nothing is random.",
        "",
        "| workers | seconds in all | studies per second, steady | ratio | MB of the largest "
        "process |",
        "|---|---|---|---|---|",
    ]
    for one in scalings:
        steady = statistics.median(one.steady)
        lines.append(
            f"| {one.workers} | {statistics.median(one.seconds):.1f} | {steady:.2f} "
            f"| {steady / first:.2f} | {max(one.megabytes):.0f} |"
        )
    best = max(statistics.median(one.steady) / one.workers for one in scalings)
    lines += [
        "",
        "*In all* begins before the workers do and ends with the table; *steady* runs from the "
        "first study that ended to the last.",
        "",
        "## Beside the network",
        "",
        "| | | measured on |",
        "|---|---|---|",
        f"| from the scheduler through a worker to the manifest | {costs.touched * 1e3:.2f} ms a "
        f"study | {args.touched} small files with a new date only |",
        f"| found, looked up, nothing to do, table written | {costs.looked_up * 1e3:.3f} ms a "
        f"study | {args.known} studies done before |",
        f"| line in the manifest | {costs.row_bytes:.0f} bytes | the same |",
        f"| memory of the program that gives out the work | {costs.memory_bytes:.0f} bytes a "
        "study | the same |",
        f"| image read, labels written | {costs.input_bytes / 1e3:.0f} kB, "
        f"{costs.output_bytes / 1e3:.1f} kB | the sample |",
        "",
        f"## Reckoned: {MANY_WORKERS} workers, {MANY_STUDIES:,} studies",
        "",
        "Reckoned from the figures above, not measured: each worker as fast as the best one here, "
        "studies like the sample.",
        "",
        *_reckoned(best, costs),
        "",
        f"Made by `python training/benchmarks/cohort_scaling.py {' '.join(sys.argv[1:])}`.",
        "",
    ]
    return "\n".join(lines)


def _reckoned(rate: float, costs: Costs) -> list[str]:
    """Return the table of what was not measured."""
    demand = rate * MANY_WORKERS
    capacity = 1 / costs.touched
    actual = min(demand, capacity)
    return [
        "| | | from |",
        "|---|---|---|",
        f"| studies per second that the workers can do | {demand:.0f} | {rate:.2f} a worker |",
        f"| studies per second that can be given out and written down | {capacity:.0f} | "
        f"{costs.touched * 1e3:.2f} ms each |",
        f"| hours for all | {MANY_STUDIES / actual / 3600:.1f} | the smaller of the two |",
        f"| images read | {actual * costs.input_bytes / 1e6:.0f} MB/s, "
        f"{MANY_STUDIES * costs.input_bytes / 1e12:.2f} TB | size of the sample |",
        f"| labels written | {actual * costs.output_bytes / 1e6:.2f} MB/s, "
        f"{MANY_STUDIES * costs.output_bytes / 1e9:.0f} GB, {actual:.0f} files/s | the same |",
        f"| manifest | {MANY_STUDIES * costs.row_bytes / 1e9:.1f} GB | bytes a line |",
        f"| memory of the program that gives out the work | "
        f"{MANY_STUDIES * costs.memory_bytes / 1e9:.1f} GB | bytes a study |",
        f"| tasks with the scheduler at once | {MANY_WORKERS} | one for each worker's thread |",
        f"| minutes to look up a finished cohort | {MANY_STUDIES * costs.looked_up / 60:.1f} | "
        "on a local disk; three requests a study on a shared one |",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
