"""Timings outside the network for `speed.py`: stages, processes, progress and cancel."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import speed_processes
import torch
from speed_report import AutoEngine, ProcessTiming, ProgressOverhead, StageTiming
from speed_subjects import SUBJECTS, Subject, make, store
from timing import timed
from tqdm import tqdm

from napari_flomo.errors import Cancelled
from napari_flomo.progress import Progress
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, Volume, read, write

CHILD = Path(__file__).with_name("speed_child.py")


def other_sizes(volume: Volume) -> dict[str, Volume]:
    """Return the volume, the same with finer pixels, and a cine."""
    slices, rows, columns = volume.spatial_shape
    x, y, z = volume.geometry.spacing
    fine = np.kron(volume.data, np.ones((2, 2, 2), volume.data.dtype))
    cine = np.stack([np.concatenate([volume.data, volume.data[:2]])] * 30)
    return {
        f"{slices} x {rows} x {columns}": volume,
        f"{2 * slices} x {2 * rows} x {2 * columns}": Volume(fine, Geometry((x / 2, y / 2, z / 2))),
        f"30 x {cine.shape[1]} x {rows} x {columns}": Volume(
            cine, volume.geometry, ("frames", "slices", "rows", "columns")
        ),
    }


def measure_stages(
    model: str, engines: Sequence[str], volume: Volume, runs: int, *, cine: bool
) -> list[StageTiming]:
    """Time every stage from the file to the mask, with the trained network."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        image, mask = Path(folder) / "image.nii.gz", Path(folder) / "mask.nii.gz"
        segmenters = {name: Segmenter(*make(SUBJECTS[0], model), "cpu", name) for name in engines}
        for title, one in other_sizes(volume).items():
            large = "frames" in one.axes
            if large and not cine:
                continue
            write(one, image)
            # One engine is enough to measure the other stages on a cine.
            some = {engines[-1]: segmenters[engines[-1]]} if large else segmenters
            turns = [StageTiming(title, name, one.n_frames * one.n_slices) for name in some]
            for segmenter in some.values():
                segmenter.segment(one, slices=[0], frames=[0])
            for _ in range(1 if large else runs):
                for stages in turns:
                    time_stages(some[stages.engine], image, mask, stages)
            found += turns
    return found


def time_stages(segmenter: Segmenter, image: Path, mask: Path, stages: StageTiming) -> None:
    """Segment a file as ``flomo segment`` does, and record the time of each stage."""
    start = time.perf_counter()
    reading, volume = timed(lambda: read(image))
    result = segmenter.segment(volume, keep_probabilities=False)
    writing, _ = timed(lambda: result.save(mask))
    seconds = {
        "read": reading,
        **{k: v for k, v in result.manifest["seconds"].items() if k != "total"},
        "write": writing,
        "all": time.perf_counter() - start,
    }
    for name, value in seconds.items():
        stages.stages.setdefault(name, []).append(1000 * value)


def measure_auto_engine(model: str, volume: Volume) -> AutoEngine:
    """Make the graph of a network in memory, as the engine ``auto`` does when it is idle."""
    segmenter = Segmenter(*make(SUBJECTS[0], model), "cpu", "auto")
    segmenter.segment(volume)
    seconds, _ = timed(segmenter.prepare_graphs)
    ran = segmenter.segment(volume).manifest["engine"]
    return AutoEngine(ran["name"], ran["reason"], seconds)


def measure_processes(
    subjects: Sequence[Subject], model: str, engines: Sequence[str], volume: Volume, runs: int
) -> list[ProcessTiming]:
    """Time separate processes from their start to the written mask."""
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        image, mask = folder / "image.nii.gz", folder / "mask.nii.gz"
        write(volume, image)
        jobs: list[tuple[ProcessTiming, list[str], dict[str, str]]] = []
        for subject in subjects:
            names = ["auto", *engines] if subject.trained else ["eager"]
            for name in names:
                home = folder / f"home {subject.name} {name}"
                home.mkdir()
                if subject.name == "unet":
                    command = [str(CHILD), "unet", str(image), str(mask), model]
                else:
                    chosen = store(subject, model, home)
                    command = ["-m", "napari_flomo", "segment", str(image), "-o", str(mask)]
                    command += ["--model", chosen, "--device", "cpu", "--engine", name, "--quiet"]
                jobs.append(
                    (ProcessTiming(subject.title, name), command, {"FLOMO_HOME": str(home)})
                )
        for turn in range(runs + 1):
            for process, command, variables in jobs:
                seconds, memory = speed_processes.run(command, threads, variables)
                if turn > 0:
                    process.seconds.append(seconds)
                    process.peak_mb.append(memory)
                    continue
                process.first_s = seconds
                if process.engine == "auto":
                    settle = [str(CHILD), "settle", str(image), model]
                    speed_processes.run(settle, threads, variables)
        return [process for process, _, _ in jobs]


def measure_progress(model: str, engine: str, volume: Volume, runs: int) -> ProgressOverhead:
    """Time a volume without and with a progress bar and a cancel check.

    The times of whole volumes vary by far more than this overhead, so the time spent in the bar and
    in the check is measured as well.
    """
    segmenter = Segmenter(*make(SUBJECTS[0], model), "cpu", engine)
    segmenter.segment(volume)
    overhead, request = ProgressOverhead(engine), threading.Event()

    def with_progress() -> None:
        inside = 0.0

        def report(progress: Progress) -> None:
            nonlocal inside
            start = time.perf_counter()
            bar.update(progress.done - bar.n)
            inside += time.perf_counter() - start

        def cancelled() -> bool:
            nonlocal inside
            start = time.perf_counter()
            requested = request.is_set()
            inside += time.perf_counter() - start
            return requested

        start = time.perf_counter()
        with tqdm(total=volume.n_slices, file=io.StringIO()) as bar:
            inside += time.perf_counter() - start
            segmenter.segment(volume, progress=report, cancelled=cancelled)
            start = time.perf_counter()
        inside += time.perf_counter() - start
        overhead.inside_ms.append(1000 * inside)

    kinds: list[tuple[Callable[[], object], list[float], list[float]]] = [
        (partial(segmenter.segment, volume), overhead.silent_ms, overhead.silent_cpu_ms),
        (with_progress, overhead.told_ms, overhead.told_cpu_ms),
    ]
    for turn in range(3 * runs):  # more runs, since the difference is small
        for work, taken, used in kinds if turn % 2 else reversed(kinds):
            start, before = time.perf_counter(), time.process_time()
            work()
            used.append(1000 * (time.process_time() - before))
            taken.append(1000 * (time.perf_counter() - start))
    usual = statistics.median(overhead.told_ms) / 1000
    for turn in range(runs):
        overhead.cancel_ms.append(cancel_after(segmenter, volume, usual * (turn + 0.5) / runs))
    return overhead


def cancel_after(segmenter: Segmenter, volume: Volume, seconds: float) -> float:
    """Return the milliseconds from the cancel request to the end of the work."""
    request = threading.Event()
    requested: list[float] = []

    def cancel() -> None:
        requested.append(time.perf_counter())
        request.set()

    timer = threading.Timer(seconds, cancel)
    timer.start()
    with contextlib.suppress(Cancelled):
        segmenter.segment(volume, cancelled=request.is_set)
    ended = time.perf_counter()
    timer.cancel()
    timer.join()
    return max(0.0, 1000 * (ended - requested[0])) if requested else 0.0
