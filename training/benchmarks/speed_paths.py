"""What lies around the network: stages, processes, progress and cancel; parts of `speed.py`."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import speed_processes
import torch
from speed_report import Choice, Feedback, Process, Stages
from speed_subjects import SUBJECTS, Subject, make, store
from tqdm import tqdm

from napari_flomo.errors import Cancelled
from napari_flomo.progress import Progress
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, Volume, read, write

CHILD = Path(__file__).with_name("speed_child.py")


def other_sizes(volume: Volume) -> dict[str, Volume]:
    """Return the volume, the same in finer pixels, and a cine."""
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
    model: str, engines: Sequence[str], volume: Volume, runs: int, cine: bool
) -> list[Stages]:
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
            # On a cine one engine tells what the rest of the way costs.
            some = {engines[-1]: segmenters[engines[-1]]} if large else segmenters
            turns = [Stages(title, name, one.n_frames * one.n_slices) for name in some]
            for segmenter in some.values():
                segmenter.segment(one, slices=[0], frames=[0])
            for _ in range(1 if large else runs):
                for stages in turns:
                    once(some[stages.engine], image, mask, stages)
            found += turns
    return found


def once(segmenter: Segmenter, image: Path, mask: Path, stages: Stages) -> None:
    """Go from a file to its mask as ``flomo segment`` does, and note how long each stage took."""
    start = time.perf_counter()
    volume = read(image)
    between = time.perf_counter()
    result = segmenter.segment(volume, keep_probabilities=False)
    done = time.perf_counter()
    result.save(mask)
    seconds = {
        "read": between - start,
        **{k: v for k, v in result.manifest["seconds"].items() if k != "total"},
        "write": time.perf_counter() - done,
        "all": time.perf_counter() - start,
    }
    for name, value in seconds.items():
        stages.stages.setdefault(name, []).append(1000 * value)


def measure_choice(model: str, volume: Volume) -> Choice:
    """Let the fastest engine be found, as it is where nobody names one."""
    segmenter = Segmenter(*make(SUBJECTS[0], model), "cpu", "auto")
    segmenter.segment(volume)
    start = time.perf_counter()
    segmenter.settle_engine()
    seconds = time.perf_counter() - start
    ran = segmenter.segment(volume).manifest["engine"]
    return Choice(ran["name"], ran["reason"], seconds)


def measure_processes(
    subjects: Sequence[Subject], model: str, engines: Sequence[str], volume: Volume, runs: int
) -> list[Process]:
    """Time processes of their own, from the start to the written mask."""
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        image, mask = folder / "image.nii.gz", folder / "mask.nii.gz"
        write(volume, image)
        jobs: list[tuple[Process, list[str], dict[str, str]]] = []
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
                jobs.append((Process(subject.title, name), command, {"FLOMO_HOME": str(home)}))
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


def measure_feedback(model: str, engine: str, volume: Volume, runs: int) -> Feedback:
    """Time a volume without and with a progress bar and somebody who may cancel.

    Pairs of whole volumes differ by far more than either costs, so the time within both is taken,
    too.
    """
    segmenter = Segmenter(*make(SUBJECTS[0], model), "cpu", engine)
    segmenter.segment(volume)
    feedback, wish = Feedback(engine), threading.Event()

    def told() -> None:
        inside = 0.0

        def report(progress: Progress) -> None:
            nonlocal inside
            start = time.perf_counter()
            bar.update(progress.done - bar.n)
            inside += time.perf_counter() - start

        def cancelled() -> bool:
            nonlocal inside
            start = time.perf_counter()
            wished = wish.is_set()
            inside += time.perf_counter() - start
            return wished

        start = time.perf_counter()
        with tqdm(total=volume.n_slices, file=io.StringIO()) as bar:
            inside += time.perf_counter() - start
            segmenter.segment(volume, progress=report, cancelled=cancelled)
            start = time.perf_counter()
        inside += time.perf_counter() - start
        feedback.inside_ms.append(1000 * inside)

    def silent() -> None:
        segmenter.segment(volume)

    kinds: list[tuple[Callable[[], None], list[float], list[float]]] = [
        (silent, feedback.silent_ms, feedback.silent_cpu_ms),
        (told, feedback.told_ms, feedback.told_cpu_ms),
    ]
    for turn in range(3 * runs):  # the difference is small, so there are more of them
        for work, taken, used in kinds if turn % 2 else reversed(kinds):
            start, before = time.perf_counter(), time.process_time()
            work()
            used.append(1000 * (time.process_time() - before))
            taken.append(1000 * (time.perf_counter() - start))
    usual = statistics.median(feedback.told_ms) / 1000
    for turn in range(runs):
        feedback.cancel_ms.append(cancel_after(segmenter, volume, usual * (turn + 0.5) / runs))
    return feedback


def cancel_after(segmenter: Segmenter, volume: Volume, seconds: float) -> float:
    """Return the milliseconds from the wish to cancel to the end of the work."""
    wish = threading.Event()
    wished: list[float] = []

    def cancel() -> None:
        wished.append(time.perf_counter())
        wish.set()

    timer = threading.Timer(seconds, cancel)
    timer.start()
    with contextlib.suppress(Cancelled):
        segmenter.segment(volume, cancelled=wish.is_set)
    ended = time.perf_counter()
    timer.cancel()
    timer.join()
    return max(0.0, 1000 * (ended - wished[0])) if wished else 0.0
