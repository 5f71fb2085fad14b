"""A run over a cohort: find, give out, write down, count."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from napari_flomo.cohorts.executor import Alone, Executor, Outcome
from napari_flomo.cohorts.finding import Choice, LeftOut, Study, find_studies
from napari_flomo.cohorts.manifest import CohortManifest, locked, peek, settle
from napari_flomo.cohorts.order import FORMATS, Order, StudyTask
from napari_flomo.cohorts.review import write_review
from napari_flomo.cohorts.row import Row
from napari_flomo.cohorts.study_runner import Describe, WorkerConfig, failed_row, without_paths
from napari_flomo.cohorts.table import write_table
from napari_flomo.errors import FlomoError
from napari_flomo.models import load_card
from napari_flomo.progress import Progress, ProgressCallback

MODEL_FILES = ("card.json", "model.safetensors")
SHOWN_FAILURES = 1000
"""Failures that a summary names; the table has all of them."""

LAST_WORDS = 1.0
"""Seconds that workers have to come to an end after an interruption."""


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes
    ----------
    found
        Studies in the input folder.
    kept
        Of these, finished by earlier runs and not touched.
    done, failed
        Of the others.
    failures
        Study and sentence of the first `SHOWN_FAILURES` that failed.
    seconds
        From the first study to the last.
    not_queued
        Studies that are done but not in ``review.csv``, since an older version noted too little.
    """

    found: int
    kept: int
    done: int
    failed: int
    failures: list[tuple[str, str]]
    seconds: float
    not_queued: int = 0


def segment_cohort(
    order: Order,
    model: Path,
    *,
    describe: Describe,
    choice: Choice | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    again: bool = False,
    retries: int = 1,
    progress: ProgressCallback | None = None,
    left_out: LeftOut | None = None,
) -> Summary:
    """Segment all studies below a folder; what an earlier run finished is not done again.

    Each study that ends adds a line to ``manifest.jsonl`` in the results folder; ``cohort.csv`` and
    ``review.csv`` are written at the end. The run may be killed at any moment and started again.

    Parameters
    ----------
    order
        The folders and what is wanted. The input folder and the results folder must differ.
    model
        Folder of the model, see `napari_flomo.models.locate`.
    describe
        Makes a sentence of a failure; a function at the top of a module, since it is sent to
        other processes.
    choice
        Which studies; all that suit the model's kind by default.
    workers
        Processes on this computer; 1 works in this process and needs no Dask. By default as many
        as there are cores and memory for, or one for each GPU.
    scheduler
        Address of a Dask scheduler to work with instead.
    again
        Whether finished studies are done again.
    retries
        How often a study is tried again whose worker died.
    progress
        Called with the studies that have ended, failed ones included, and their total.
    left_out
        Told what looked like a study and is left out.

    Raises
    ------
    FlomoError
        If nothing can run: no studies, a folder that cannot be used, a model that does not load,
        no Dask, no scheduler. Failures of single studies are not raised.
    """
    order = replace(order, root=order.root.absolute(), out=order.out.absolute())
    _check(order, workers, scheduler)
    card = load_card(model)
    files = _files(model)
    choice = replace(choice or Choice(), kind=card.input_kind)
    identity = {"name": card.name, "card_sha256": card.card_hash, "weights_sha256": card.sha256}
    studies = list(find_studies(order.root, choice, left_out))
    if not studies:
        raise FlomoError(
            f"No image for {card.name} was found below {order.root}; give another folder, or see "
            "what was left out with --list."
        )
    _make_parents(order.out)
    with locked(order.out):
        order = settle(order, identity, again)
        manifest = CohortManifest.mended(order.out)
        todo = list(_tasks(studies, manifest, order))
        config = WorkerConfig(order, files, describe, share=len(todo))
        run = _Run(order, manifest, len(todo), retries, progress)
        start = time.monotonic()
        if todo:
            with _executor(config, workers, scheduler, len(todo)) as executor:
                run.work(executor, iter(todo))
        seconds = time.monotonic() - start
        structures = [label.name for label in card.labels if label.code]
        write_table(order.out, lambda: manifest.rows(order.run), structures)
        not_queued = write_review(order.out, manifest.rows(order.run))
    return Summary(
        len(studies),
        len(studies) - len(todo),
        run.done,
        run.failed,
        run.failures,
        seconds,
        not_queued,
    )


def list_cohort(
    order: Order, model: Path, choice: Choice | None = None, left_out: LeftOut | None = None
) -> Iterator[tuple[Study, str]]:
    """Yield the studies and the state of each, as `segment_cohort` would find them.

    Yields
    ------
    tuple
        The study, and ``"done"``, ``"failed"``, ``"changed"`` or ``"new"``.
    """
    order = replace(order, root=order.root.absolute(), out=order.out.absolute())
    choice = replace(choice or Choice(), kind=load_card(model).input_kind)
    order = peek(order)
    manifest = CohortManifest(order.out)
    for study in find_studies(order.root, choice, left_out):
        yield study, manifest.state(study, order)


class _Run:
    """Gives tasks to a executor and writes down what becomes of them."""

    def __init__(
        self,
        order: Order,
        manifest: CohortManifest,
        total: int,
        retries: int,
        progress: ProgressCallback | None,
    ) -> None:
        self._order, self._manifest = order, manifest
        self._total, self._retries, self._progress = total, retries, progress
        self._again: list[StudyTask] = []
        self.done = self.failed = 0
        self.failures: list[tuple[str, str]] = []

    def work(self, executor: Executor, tasks: Iterator[StudyTask]) -> None:
        """Work until all have ended; on an interruption, keep what ends at once."""
        self._tell()
        given, more = 0, True
        try:
            while more or given or self._again:
                slots = executor.slots()
                while given < slots and (more or self._again):
                    task = self._again.pop() if self._again else next(tasks, None)
                    if task is None:
                        more = False
                    else:
                        executor.give(task)
                        given += 1
                outcomes = executor.take(0.5)
                given -= len(outcomes)
                self._write_down(outcomes)
        except BaseException:
            self._last_words(executor)
            raise

    def _last_words(self, executor: Executor) -> None:
        given = executor.stop()
        deadline = time.monotonic() + LAST_WORDS
        while given and (left := deadline - time.monotonic()) > 0:
            outcomes = executor.take(min(left, 0.1))
            given -= len(outcomes)
            finished = [outcome for outcome in outcomes if outcome.row is not None]
            with contextlib.suppress(FlomoError):  # a full disk is told already
                self._write_down(finished)

    def _write_down(self, outcomes: list[Outcome]) -> None:
        rows: list[Row] = []
        for outcome in outcomes:
            row = outcome.row
            if row is None:
                task = outcome.task
                if task.attempt <= self._retries:
                    self._again.append(replace(task, attempt=task.attempt + 1))
                    continue
                fault = without_paths(outcome.fault, self._order)
                row = failed_row(self._order, task, fault)
            rows.append(row)
        if not rows:
            return
        self._manifest.add(rows)
        for row in rows:
            self.done += row.state == "done"
            if row.state == "failed":
                self.failed += 1
                if len(self.failures) < SHOWN_FAILURES:
                    self.failures.append((row.study, row.error or ""))
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            message = f"Segmenting, {self.failed} failed" if self.failed else "Segmenting"
            self._progress(Progress(self.done + self.failed, self._total, message))


def _check(order: Order, workers: int | None, scheduler: str | None) -> None:
    """Find out before anything is written what cannot work."""
    if workers is not None and workers < 1:
        raise FlomoError(f"{workers} workers cannot do anything; ask for 1 or more.")
    if workers is not None and scheduler is not None:
        raise FlomoError("A scheduler brings its own workers; give either workers or a scheduler.")
    needed = ("dask", "distributed", "cryptography")  # the last one encrypts a local cluster
    if workers != 1 and any(importlib.util.find_spec(name) is None for name in needed):
        raise FlomoError(
            "Several workers need Dask, which is not installed; install it with: pip install "
            "'napari-flomo[cohort]', or use --workers 1."
        )
    if order.suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise FlomoError(f"Labels cannot be written as {order.suffix}; choose {known}.")
    if order.root.resolve() == order.out.resolve():
        raise FlomoError("Results cannot lie among the images; choose a folder of their own.")
    if order.out.exists() and not order.out.is_dir():
        raise FlomoError(f"{order.out} is a file; choose a folder for the results.")


def _files(model: Path) -> dict[str, bytes]:
    """Read a model's files once; whoever loads them compares the weights with the card."""
    try:
        return {name: (model / name).read_bytes() for name in MODEL_FILES}
    except OSError as error:
        raise FlomoError(
            f"The model in {model} cannot be read: {error.strerror or error}; get it again."
        ) from error


def _make_parents(folder: Path) -> None:
    """Make a folder and those around it that are not there.

    Raises
    ------
    FlomoError
        If that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlomoError(
            f"The folder {folder} cannot be made: {error.strerror or error}; choose another."
        ) from error


def _tasks(studies: list[Study], manifest: CohortManifest, order: Order) -> Iterator[StudyTask]:
    for study in studies:
        state = manifest.state(study, order)
        if state == "changed":
            yield StudyTask(study, known=manifest.line(study.id))
        elif state != "done":
            yield StudyTask(study)


def _executor(
    config: WorkerConfig, workers: int | None, scheduler: str | None, studies: int
) -> AbstractContextManager[Executor]:
    """Return the executor that was asked for."""
    if workers == 1 and scheduler is None:
        return contextlib.closing(Alone(config))
    from napari_flomo.cohorts import cluster

    if scheduler is not None:
        return cluster.remote_cluster(config, scheduler)
    if workers is None:
        workers = min(studies, _gpus(config.order.device) or cluster.default_workers())
    return cluster.local_cluster(config, workers)


def _gpus(device: str) -> int:
    """Return how many GPUs would be used."""
    from napari_flomo.segmentation import choose_device

    if choose_device(device).type != "cuda":
        return 0
    import torch

    return 1 if ":" in device else torch.cuda.device_count()
