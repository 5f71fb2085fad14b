"""The worker's side of a cluster: what a Dask worker holds, and what it is asked to do.

Functions and classes here are sent by their names, so all workers need this version of the package.
"""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin, get_worker

from napari_flomo import __version__
from napari_flomo.cohorts.order import StudyTask
from napari_flomo.cohorts.row import Row
from napari_flomo.cohorts.study_runner import StudyRunner, WorkerConfig
from napari_flomo.errors import Cancelled


class DaskWorker(WorkerPlugin):
    """Brings the model to a worker, also to one that comes later or is started again.

    Parameters
    ----------
    config
        What is wanted, and the model.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self.runner: StudyRunner | None = None

    def setup(self, worker: Any) -> None:
        """Run by the worker when it begins."""
        self.runner = StudyRunner(self._config, _device_of(worker, self._config.order.device))

    def teardown(self, worker: Any) -> None:  # noqa: ARG002
        """Run by the worker when the run has ended."""
        if self.runner is not None:
            self.runner.stop()
        self.runner = None


def work(worker_name: str, task: StudyTask) -> Row:
    """Run by a worker: one study."""
    return _runner(get_worker(), worker_name).segment(task)


def load(worker_name: str, dask_worker: Any) -> str:
    """Run by a worker: load the network, tell the version."""
    _runner(dask_worker, worker_name).load()
    return __version__


def stop(worker_name: str, dask_worker: Any) -> None:
    """Run by a worker."""
    _runner(dask_worker, worker_name).stop()


def _runner(worker: Any, worker_name: str) -> StudyRunner:
    runner: StudyRunner | None = worker.plugins[worker_name].runner
    if runner is None:
        raise Cancelled
    return runner


def _device_of(worker: Any, wanted: str) -> str:
    """Share the GPUs among the workers of a computer, which are numbered."""
    if wanted not in ("auto", "cuda"):
        return wanted
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < 2:
        return wanted
    number = worker.name if isinstance(worker.name, int) else 0
    return f"cuda:{number % count}"
