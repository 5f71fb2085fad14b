"""Run studies on Dask distributed, on this computer or wherever a scheduler has workers."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster, Nanny, Security
from distributed.scheduler import KilledWorker
from distributed.system import MEMORY_LIMIT

from napari_flomo import __version__
from napari_flomo.cohorts import dask_worker
from napari_flomo.cohorts.executor import Outcome
from napari_flomo.cohorts.order import StudyTask
from napari_flomo.cohorts.row import Row
from napari_flomo.cohorts.study_runner import WorkerConfig
from napari_flomo.errors import FlomoError, how_it_ended

MEMORY_EACH = 1_500_000_000
"""Bytes that a worker should have: torch, a network and a large cine."""

PATIENCE = 120.0
"""Seconds without any worker after which a cluster counts as lost."""

_COUNT_EVERY = 1.0
_NEWS = 3.0
"""Seconds in which the exit code of a worker is known after its connection was lost."""
_ENDED: dict[str, int] = {}
"""Exit codes of workers by address."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_SETTINGS = {
    # A worker that dies costs the study that it had; whether to try again is decided here.
    "distributed.scheduler.allowed-failures": 0,
    # Nothing large is kept between studies, so there is nothing to spill and pausing frees nothing;
    # a worker that takes more than its share of memory is ended before the system ends something.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # No pages, no profiler, no watching of GPUs: nobody looks.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.active-memory-manager.start": False,
}


class Cluster:
    """A executor of Dask workers.

    Parameters
    ----------
    client
        Connected to the scheduler.
    config
        What is wanted, and the model.
    local
        The cluster, where it was started for this run and ends with it.

    Raises
    ------
    FlomoError
        If there are no workers, or one of them cannot work; all is closed then.
    """

    def __init__(
        self, client: Client, config: WorkerConfig, local: LocalCluster | None = None
    ) -> None:
        self._client = client
        self._local = local
        self._name = f"flomo-{uuid.uuid4().hex}"
        self._given: dict[Future, StudyTask] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._counted = 0
        self._counted_at = -_COUNT_EVERY
        self._last_seen = time.monotonic()
        self._number = 0
        try:
            self._register_workers(config)
        except BaseException:
            self.close()
            raise

    def slots(self) -> int:
        """One for each thread of a worker: what waits at a worker would be lost with it.

        Raises
        ------
        FlomoError
            If there has been no worker for a while, or the scheduler is gone.
        """
        now = time.monotonic()
        if now - self._counted_at >= _COUNT_EVERY:
            try:
                self._counted = sum(self._client.nthreads().values())
            except (OSError, TimeoutError) as error:
                raise _lost() from error
            self._counted_at = now
        if self._counted:
            self._last_seen = now
        elif now - self._last_seen > PATIENCE:
            raise _lost()
        return self._counted

    def give(self, task: StudyTask) -> None:
        """Submit an task. Its key tells nothing of the study: others may see it."""
        self._number += 1
        future = self._client.submit(
            dask_worker.work, self._name, task, key=f"{self._name}-{self._number}", pure=False
        )
        self._given[future] = task
        future.add_done_callback(self._ended.put)

    def take(self, seconds: float) -> list[Outcome]:
        """Return what has ended, after waiting for it so long at most."""
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=seconds))
            while True:
                ended.append(self._ended.get_nowait())
        return [self._outcome(future) for future in ended if future in self._given]

    def stop(self) -> int:
        """Tell the workers; work on a study ends between two passes of the network."""
        with contextlib.suppress(Exception):
            self._client.run(dask_worker.stop, self._name, wait=False)
        return len(self._given)

    def close(self) -> None:
        """Leave a cluster as it was found; end one that was started."""
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._given))
        if self._local is None:
            with contextlib.suppress(Exception):
                self._client.unregister_worker_plugin(self._name)
            with contextlib.suppress(Exception):
                self._client.close(timeout=2)
            return
        _end_processes(self._local)
        with contextlib.suppress(Exception):  # a busy computer: all of it ends with this process
            self._client.close(timeout=1)
            self._local.close(timeout=2)

    def _register_workers(self, config: WorkerConfig) -> None:
        """Have every worker load the model now, so that what is wrong is said once."""
        if not self._client.nthreads():
            try:
                self._client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise FlomoError("The scheduler has no workers; start some first.") from error
        config = replace(config, share=config.share / max(1, self.slots()))
        try:
            self._client.register_plugin(dask_worker.DaskWorker(config), name=self._name)
            answers = self._client.run(dask_worker.load, self._name, on_error="return")
        except (ImportError, AttributeError, TypeError) as error:
            raise _other_version("none that fits") from error
        for answer in answers.values():
            if isinstance(answer, FlomoError):
                raise answer
            if isinstance(answer, ImportError | AttributeError):
                raise _other_version("none that fits") from answer
            if isinstance(answer, BaseException):
                raise answer
            if answer != __version__:
                raise _other_version(str(answer))

    def _outcome(self, future: Future) -> Outcome:
        task = self._given.pop(future)
        if future.status == "finished":
            row: Row = future.result()
            return Outcome(task, row)
        if future.status != "error":
            return Outcome(task, None, "The connection to the scheduler was lost.")
        error = future.exception()
        if isinstance(error, KilledWorker):
            self._counted_at = -_COUNT_EVERY
            # A scheduler that is not ours has tried it more often by itself.
            tried = replace(task, attempt=task.attempt + error.allowed_failures)
            return Outcome(
                tried,
                None,
                f"The process that worked on it {self._end_of(error.last_worker.address)}; take "
                "fewer workers, or segment it alone.",
            )
        return Outcome(task, None, f"Its worker failed with {type(error).__name__}.")

    def _end_of(self, address: str) -> str:
        """Say how a worker ended; of those of another computer that is not known."""
        if self._local is None:
            return how_it_ended(None)
        end = time.monotonic() + _NEWS
        while address not in _ENDED and time.monotonic() < end:
            time.sleep(0.05)
        code = _ENDED.pop(address, None)
        # Dask ends a worker of ours for nothing but the memory that it takes.
        return how_it_ended(-9 if code == -signal.SIGTERM else code)


class _Watched(Nanny):
    """Keeps the exit code of its worker, which Dask itself only logs."""

    def _on_worker_exit_sync(self, exitcode: int) -> None:
        with contextlib.suppress(Exception):  # it is no more than news
            _ENDED[str(self.worker_address)] = exitcode
        super()._on_worker_exit_sync(exitcode)


@contextlib.contextmanager
def local_cluster(config: WorkerConfig, workers: int) -> Iterator[Cluster]:
    """Start workers on this computer, each a process that works on one study at a time.

    They share the cores and the memory. They listen on 127.0.0.1 only, encrypted by keys that live
    as long as the cluster; there is no dashboard.

    Parameters
    ----------
    config
        What is wanted, and the model.
    workers
        How many.
    """
    threads = str(max(1, CPU_COUNT // workers))
    with dask.config.set(_SETTINGS), _quiet():
        security = Security.temporary()
        try:
            with _without_interrupts():
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    worker_class=_Watched,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=MEMORY_LIMIT // workers,
                    env=dict.fromkeys(_THREADS, threads),
                    security=security,
                    silence_logs=logging.CRITICAL,
                )
        except (OSError, RuntimeError) as error:
            raise FlomoError(
                f"{workers} workers could not be started; close other programs or ask for fewer."
            ) from error
        client = Client(cluster, set_as_default=False)
        executor = Cluster(client, config, cluster)
        try:
            yield executor
        finally:
            executor.close()


@contextlib.contextmanager
def remote_cluster(config: WorkerConfig, address: str) -> Iterator[Cluster]:
    """Work with the workers of a scheduler that runs already.

    Parameters
    ----------
    config
        What is wanted, and the model; its folders must be the same on all workers.
    address
        As ``tcp://host:8786``.

    Raises
    ------
    FlomoError
        If no scheduler answers there.
    """
    with _quiet():
        try:
            client = Client(address, timeout=10, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise FlomoError(
                f"No Dask scheduler answers at {address}; check the address and that it runs."
            ) from error
        executor = Cluster(client, config)
        try:
            yield executor
        finally:
            executor.close()


def default_workers() -> int:
    """Return how many workers this computer has cores and memory for."""
    return max(1, min(CPU_COUNT, MEMORY_LIMIT // MEMORY_EACH))


def _end_processes(cluster: LocalCluster) -> None:
    """End the workers without asking: whatever they still do is wanted no more."""
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        with contextlib.suppress(OSError, AttributeError, TypeError):
            os.kill(nanny.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keep Ctrl+C from the processes that are started: they inherit what is blocked.

    A terminal sends it to all of them, but how to stop is decided in this process. Threads that
    are started here pass the block on to workers which they start again later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it would end the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own messages away from the progress bar; they name addresses and keys."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _lost() -> FlomoError:
    return FlomoError(
        "The cluster has no workers left or its scheduler is gone; finished studies are kept: mend "
        "the cluster and run the same command again."
    )


def _other_version(found: str) -> FlomoError:
    return FlomoError(
        f"A worker of the cluster has napari-flomo {found}, but this is {__version__}; install the "
        "same version on all computers."
    )
