"""The worker's side of a cluster: what a Dask worker holds, and what it is asked to do.

Functions and classes here are sent by their names, so all workers need this version of the package.
"""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin, get_worker

from napari_flomo import __version__
from napari_flomo.cohorts.order import Errand
from napari_flomo.cohorts.row import Row
from napari_flomo.cohorts.workplace import Brief, Workplace
from napari_flomo.errors import Cancelled


class Station(WorkerPlugin):
    """Brings the model to a worker, also to one that comes later or is started again.

    Parameters
    ----------
    brief
        What is wanted, and the model.
    """

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self.workplace: Workplace | None = None

    def setup(self, worker: Any) -> None:
        """Run by the worker when it begins."""
        self.workplace = Workplace(self._brief, _device_of(worker, self._brief.order.device))

    def teardown(self, worker: Any) -> None:  # noqa: ARG002
        """Run by the worker when the run has ended."""
        if self.workplace is not None:
            self.workplace.stop()
        self.workplace = None


def work(station: str, errand: Errand) -> Row:
    """Run by a worker: one study."""
    return _workplace(get_worker(), station).segment(errand)


def load(station: str, dask_worker: Any) -> str:
    """Run by a worker: load the network, tell the version."""
    _workplace(dask_worker, station).load()
    return __version__


def stop(station: str, dask_worker: Any) -> None:
    """Run by a worker."""
    _workplace(dask_worker, station).stop()


def _workplace(worker: Any, station: str) -> Workplace:
    workplace: Workplace | None = worker.plugins[station].workplace
    if workplace is None:
        raise Cancelled
    return workplace


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
