"""Run the segmentation of a cohort."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_flomo.cohorts.config import FORMATS, CohortConfig, StudyTask
from napari_flomo.cohorts.executor import Executor, InProcessExecutor, Outcome
from napari_flomo.cohorts.manifest import CohortManifest, at_current_run, begin_run, folder_lock
from napari_flomo.cohorts.review import write_review
from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.cohorts.study_runner import WorkerConfig, failed_result, without_paths
from napari_flomo.cohorts.table import write_table
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.models import GRAPH_FILE, Family, ModelCard, load_card, locate
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.volumes import OnSkip, Study, StudyFilter, find_studies

SHOWN_FAILURES = 1000
"""Failures that a summary lists; the table has all of them."""

RETRIES = 1
"""Retries of a study whose worker died."""

SHUTDOWN_SECONDS = 1.0
"""Time that workers have to finish after an interruption."""


@dataclass(frozen=True)
class CohortSummary:
    """Summary of a run.

    Attributes
    ----------
    found
        Studies in the input folder.
    kept
        Of these, finished by earlier runs and kept.
    done, failed
        Of the others.
    failures
        Study and error message of the first `SHOWN_FAILURES` failures.
    seconds
        Duration from the first study to the last.
    not_queued
        Studies that are done but not in ``review.csv``, because an older version wrote them.
    """

    found: int
    kept: int
    done: int
    failed: int
    failures: list[tuple[str, str]]
    seconds: float
    not_queued: int = 0


def segment_cohort(
    config: CohortConfig,
    model: Path,
    *,
    members: Family | None = None,
    study_filter: StudyFilter | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    again: bool = False,
    progress: ProgressCallback | None = None,
    on_skip: OnSkip | None = None,
) -> CohortSummary:
    """Segment all studies below a folder, except those that an earlier run finished.

    Each finished study adds a line to ``manifest.jsonl`` in the results folder; ``cohort.csv`` and
    ``review.csv`` are written at the end. The run may be killed at any moment and started again.

    Parameters
    ----------
    config
        Folders and settings. The input folder and the results folder must differ.
    model
        Folder of the model, see `napari_flomo.models.locate`.
    members
        The family of which ``model`` is the parent: the image of each study chooses one of them.
    study_filter
        Which studies; by default all that suit the model's kind of input.
    workers
        Number of processes; 1 uses this process and needs no Dask. By default as many as cores and
        memory allow, or one per GPU.
    scheduler
        Address of a running Dask scheduler to use instead.
    again
        Whether to repeat finished studies.
    progress
        Called with the number of finished studies, failed ones included, and their total.
    on_skip
        Called with path and reason for everything that looks like a study but is skipped.

    Raises
    ------
    FlomoError
        If nothing can run: no studies, a folder that cannot be used, a model that does not load,
        no Dask, no scheduler. Failures of single studies are not raised.
    """
    config = replace(config, root=config.root.absolute(), out=config.out.absolute())
    _check(config, workers, scheduler)
    card = load_card(model)
    files = _files(model)
    study_filter = replace(study_filter or StudyFilter(), kind=card.input_kind)
    specialists = _specialists(members)
    identity = _identity(card, specialists)
    studies = list(find_studies(config.root, study_filter, on_skip))
    if not studies:
        raise FlomoError(
            f"No image for {card.name} was found below {config.root}; give another folder, or see "
            "what was left out with --list."
        )
    _make_parents(config.out)
    with folder_lock(config.out):
        config = begin_run(config, identity, again)
        manifest = CohortManifest.open_for_append(config.out)
        todo = list(_tasks(studies, manifest, config))
        worker_config = WorkerConfig(config, files, len(todo), members, specialists)
        run = _Run(config, manifest, len(todo), progress)
        start = time.monotonic()
        if todo:
            with _executor(worker_config, workers, scheduler, len(todo)) as executor:
                run.work(executor, iter(todo))
        seconds = time.monotonic() - start
        structures = [label.name for label in card.labels if label.code]
        write_table(config.out, lambda: manifest.results(config.run), structures)
        not_queued = write_review(config.out, manifest.results(config.run))
    return CohortSummary(
        len(studies),
        len(studies) - len(todo),
        run.done,
        run.failed,
        run.failures,
        seconds,
        not_queued,
    )


def list_cohort(
    config: CohortConfig,
    model: Path,
    study_filter: StudyFilter | None = None,
    on_skip: OnSkip | None = None,
) -> Iterator[tuple[Study, str]]:
    """Yield all studies and their state, as `segment_cohort` would find them.

    Yields
    ------
    tuple
        The study, and ``"done"``, ``"failed"``, ``"changed"`` or ``"new"``.
    """
    config = replace(config, root=config.root.absolute(), out=config.out.absolute())
    study_filter = replace(study_filter or StudyFilter(), kind=load_card(model).input_kind)
    config = at_current_run(config)
    manifest = CohortManifest(config.out)
    for study in find_studies(config.root, study_filter, on_skip):
        yield study, manifest.state(study, config)


class _Run:
    """Submits tasks to an executor and records their results."""

    def __init__(
        self,
        config: CohortConfig,
        manifest: CohortManifest,
        total: int,
        progress: ProgressCallback | None,
    ) -> None:
        self._config, self._manifest = config, manifest
        self._total, self._progress = total, progress
        self._again: list[StudyTask] = []
        self.done = self.failed = 0
        self.failures: list[tuple[str, str]] = []

    def work(self, executor: Executor, tasks: Iterator[StudyTask]) -> None:
        """Run all tasks; on an interruption, keep those that end in time."""
        self._report_progress()
        running, more = 0, True
        try:
            while more or running or self._again:
                slots = executor.slots()
                while running < slots and (more or self._again):
                    task = self._again.pop() if self._again else next(tasks, None)
                    if task is None:
                        more = False
                    else:
                        executor.submit(task)
                        running += 1
                outcomes = executor.wait(0.5)
                running -= len(outcomes)
                self._record(outcomes)
        except BaseException:
            self._shut_down(executor)
            raise

    def _shut_down(self, executor: Executor) -> None:
        running = executor.stop()
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while running and (left := deadline - time.monotonic()) > 0:
            outcomes = executor.wait(min(left, 0.1))
            running -= len(outcomes)
            finished = [outcome for outcome in outcomes if outcome.result is not None]
            with contextlib.suppress(FlomoError):  # a full disk has been reported
                self._record(finished)

    def _record(self, outcomes: list[Outcome]) -> None:
        results: list[StudyResult] = []
        for outcome in outcomes:
            result = outcome.result
            if result is None:
                task = outcome.task
                if task.attempt <= RETRIES:
                    self._again.append(replace(task, attempt=task.attempt + 1))
                    continue
                error = without_paths(outcome.error, self._config)
                result = failed_result(self._config, task, error)
            results.append(result)
        if not results:
            return
        self._manifest.add(results)
        for result in results:
            self.done += result.state == "done"
            if result.state == "failed":
                self.failed += 1
                if len(self.failures) < SHOWN_FAILURES:
                    self.failures.append((result.study, result.error or ""))
        self._report_progress()

    def _report_progress(self) -> None:
        if self._progress is not None:
            message = f"Segmenting, {self.failed} failed" if self.failed else "Segmenting"
            self._progress(Progress(self.done + self.failed, self._total, message))


def _check(config: CohortConfig, workers: int | None, scheduler: str | None) -> None:
    """Raise a `FlomoError` for settings that cannot work."""
    if workers is not None and workers < 1:
        raise FlomoError(f"The number of workers must be 1 or more, not {workers}.")
    if workers is not None and scheduler is not None:
        raise FlomoError("A scheduler brings its own workers; give either workers or a scheduler.")
    needed = ("dask", "distributed", "cryptography")  # cryptography encrypts a local cluster
    if workers != 1 and any(importlib.util.find_spec(name) is None for name in needed):
        raise FlomoError(
            "Several workers need Dask, which is not installed; install it with: pip install "
            "'napari-flomo[cohort]', or use --workers 1."
        )
    if config.suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise FlomoError(f"Labels cannot be written as {config.suffix}; choose {known}.")
    if config.root.resolve() == config.out.resolve():
        raise FlomoError(
            "Results cannot be written to the folder of the images; choose another folder."
        )
    if config.out.exists() and not config.out.is_dir():
        raise FlomoError(f"{config.out} is a file; choose a folder for the results.")


def _files(model: Path) -> dict[str, bytes]:
    """Read the files of a model; workers verify the weights when they load them."""
    try:
        names = [name for name in load_card(model).files if name != GRAPH_FILE]
        if (model / GRAPH_FILE).is_file():  # without it workers use PyTorch
            names.append(GRAPH_FILE)
        return {name: (model / name).read_bytes() for name in names}
    except OSError as error:
        raise FlomoError(
            f"The model in {model} cannot be read: {reason_of(error)}; download it again."
        ) from error


def _specialists(members: Family | None) -> dict[str, dict[str, bytes]]:
    """Read the files of the specialists of a family."""
    names = () if members is None else (one.name for one in members.specialists)
    return {name: _files(locate(name)) for name in names}


def _identity(card: ModelCard, specialists: Mapping[str, Mapping[str, bytes]]) -> dict[str, Any]:
    """Return what results depend on: the model, and all that an image may choose instead."""
    known = {"name": card.name, "card_sha256": card.card_hash, "weights_sha256": card.sha256}
    if not specialists:
        return known
    hashes = {
        name: hashlib.sha256(b"".join(files.values())).hexdigest()
        for name, files in specialists.items()
    }
    return {**known, "specialists": hashes}


def _make_parents(folder: Path) -> None:
    """Create a folder and its parents."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlomoError(
            f"The folder {folder} cannot be created: {reason_of(error)}; choose another."
        ) from error


def _tasks(
    studies: list[Study], manifest: CohortManifest, config: CohortConfig
) -> Iterator[StudyTask]:
    for study in studies:
        state = manifest.state(study, config)
        if state == "changed":
            yield StudyTask(study, known=manifest.line(study.id))
        elif state != "done":
            yield StudyTask(study)


def _executor(
    worker_config: WorkerConfig, workers: int | None, scheduler: str | None, studies: int
) -> AbstractContextManager[Executor]:
    """Return the requested executor."""
    if workers == 1 and scheduler is None:
        return contextlib.closing(InProcessExecutor(worker_config))
    from napari_flomo.cohorts import cluster

    if scheduler is not None:
        return cluster.remote_cluster(worker_config, scheduler)
    if workers is None:
        workers = min(studies, _gpus(worker_config.config.device) or cluster.default_workers())
    return cluster.local_cluster(worker_config, workers)


def _gpus(device: str) -> int:
    """Return the number of GPUs to use."""
    from napari_flomo.segmentation import choose_device, is_gpu

    if not is_gpu(choose_device(device)):
        return 0
    import torch

    return 1 if ":" in device else torch.cuda.device_count()
