"""The code that runs in a Dask worker.

Functions and classes are sent by name, so all workers need the same version of the package.
"""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin, get_worker

from napari_flomo import __version__
from napari_flomo.cohorts.config import StudyTask
from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.cohorts.study_runner import StudyRunner, WorkerConfig
from napari_flomo.errors import Cancelled


class DaskWorker(WorkerPlugin):
    """Brings the model to each worker, including those that join later or restart."""

    def __init__(self, worker_config: WorkerConfig) -> None:
        self._worker_config = worker_config
        self.runner: StudyRunner | None = None

    def setup(self, worker: Any) -> None:
        """Prepare the worker when it starts."""
        self.runner = StudyRunner(
            self._worker_config, _device_of(worker, self._worker_config.config.device)
        )

    def teardown(self, worker: Any) -> None:  # noqa: ARG002
        """Stop the worker when the run has ended."""
        if self.runner is not None:
            self.runner.stop()
        self.runner = None


def work(worker_name: str, task: StudyTask) -> StudyResult:
    """Segment one study in a worker."""
    return _runner(get_worker(), worker_name).segment(task)


def load(worker_name: str, dask_worker: Any) -> str:
    """Load the network in a worker and return the version of this package."""
    _runner(dask_worker, worker_name).load()
    return __version__


def stop(worker_name: str, dask_worker: Any) -> None:
    """Stop the work of a worker."""
    _runner(dask_worker, worker_name).stop()


def _runner(worker: Any, worker_name: str) -> StudyRunner:
    runner: StudyRunner | None = worker.plugins[worker_name].runner
    if runner is None:
        raise Cancelled
    return runner


def _device_of(worker: Any, wanted: str) -> str:
    """Distribute the GPUs among the numbered workers of a computer."""
    from napari_flomo.segmentation import choose_device, is_gpu

    if wanted not in ("auto", "cuda") or not is_gpu(choose_device(wanted)):
        return wanted
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return wanted
    number = worker.name if isinstance(worker.name, int) else 0
    return f"cuda:{number % count}"
