"""Run studies with Dask distributed, on this computer or on the workers of a scheduler."""

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
from napari_flomo.cohorts.config import StudyTask
from napari_flomo.cohorts.executor import Outcome
from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.cohorts.study_runner import WorkerConfig
from napari_flomo.errors import FlomoError, how_it_ended

MEMORY_PER_WORKER_BYTES = 1_500_000_000
"""Memory that a worker needs for torch, a network and a large cine."""

WORKER_TIMEOUT_SECONDS = 120.0
"""A cluster without any worker for this long counts as lost."""

_COUNT_INTERVAL_SECONDS = 1.0
_EXIT_CODE_SECONDS = 3.0
"""Time to wait for the exit code of a worker whose connection was lost."""
_EXIT_CODES: dict[str, int] = {}
"""Exit codes of workers by address."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_SETTINGS = {
    # Retries of studies whose worker died are decided by the caller.
    "distributed.scheduler.allowed-failures": 0,
    # Nothing large is kept between studies, so there is nothing to spill and pausing frees nothing.
    # A worker that exceeds its share is ended before the system ends another process.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # No dashboard, no profiler, no GPU monitor.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.active-memory-manager.start": False,
}


class DaskExecutor:
    """An executor that uses Dask workers.

    Raises `FlomoError` if there are no workers, or one of them cannot work; everything is closed
    then. ``local`` is a cluster that was started for this run and ends with it.
    """

    def __init__(
        self, client: Client, worker_config: WorkerConfig, local: LocalCluster | None = None
    ) -> None:
        self._client = client
        self._local = local
        self._name = f"flomo-{uuid.uuid4().hex}"
        self._running: dict[Future, StudyTask] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._counted = 0
        self._counted_at = -_COUNT_INTERVAL_SECONDS
        self._last_seen = time.monotonic()
        self._number = 0
        try:
            self._register_workers(worker_config)
        except BaseException:
            self.close()
            raise

    def slots(self) -> int:
        """Return one slot per worker thread: tasks queued at a worker would be lost with it.

        Raises `FlomoError` if there has been no worker for a while, or the scheduler is gone.
        """
        now = time.monotonic()
        if now - self._counted_at >= _COUNT_INTERVAL_SECONDS:
            try:
                self._counted = sum(self._client.nthreads().values())
            except (OSError, TimeoutError) as error:
                raise _lost() from error
            self._counted_at = now
        if self._counted:
            self._last_seen = now
        elif now - self._last_seen > WORKER_TIMEOUT_SECONDS:
            raise _lost()
        return self._counted

    def submit(self, task: StudyTask) -> None:
        """Submit a task. Its key does not reveal the study: others may see it."""
        self._number += 1
        future = self._client.submit(
            dask_worker.work, self._name, task, key=f"{self._name}-{self._number}", pure=False
        )
        self._running[future] = task
        future.add_done_callback(self._ended.put)

    def wait(self, seconds: float) -> list[Outcome]:
        """Return outcomes, waiting for the first one at most this long."""
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=seconds))
            while True:
                ended.append(self._ended.get_nowait())
        return [self._outcome(future) for future in ended if future in self._running]

    def stop(self) -> int:
        """Stop the workers; a study ends between two passes of the network."""
        with contextlib.suppress(Exception):
            self._client.run(dask_worker.stop, self._name, wait=False)
        return len(self._running)

    def close(self) -> None:
        """Restore a cluster that was running before; end one that was started for this run."""
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._running))
        if self._local is None:
            with contextlib.suppress(Exception):
                self._client.unregister_worker_plugin(self._name)
            with contextlib.suppress(Exception):
                self._client.close(timeout=2)
            return
        _end_processes(self._local)
        with contextlib.suppress(
            Exception
        ):  # on a busy computer; everything ends with this process
            self._client.close(timeout=1)
            self._local.close(timeout=2)

    def _register_workers(self, worker_config: WorkerConfig) -> None:
        """Let every worker load the model, so that a problem is reported once."""
        if not self._client.nthreads():
            try:
                self._client.wait_for_workers(1, timeout=WORKER_TIMEOUT_SECONDS)
            except TimeoutError as error:
                raise FlomoError("The scheduler has no workers; start some first.") from error
        worker_config = replace(worker_config, share=worker_config.share / max(1, self.slots()))
        try:
            self._client.register_plugin(dask_worker.DaskWorker(worker_config), name=self._name)
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
        task = self._running.pop(future)
        if future.status == "finished":
            result: StudyResult = future.result()
            return Outcome(task, result)
        if future.status != "error":
            return Outcome(task, None, "The connection to the scheduler was lost.")
        error = future.exception()
        if isinstance(error, KilledWorker):
            self._counted_at = -_COUNT_INTERVAL_SECONDS
            # A scheduler with other settings may have retried it by itself.
            tried = replace(task, attempt=task.attempt + error.allowed_failures)
            return Outcome(
                tried,
                None,
                f"Its worker process {self._end_of(error.last_worker.address)}; use fewer "
                "workers, or segment it alone.",
            )
        return Outcome(task, None, f"Its worker failed with {type(error).__name__}.")

    def _end_of(self, address: str) -> str:
        """Return how a worker ended; unknown for workers on another computer."""
        if self._local is None:
            return how_it_ended(None)
        end = time.monotonic() + _EXIT_CODE_SECONDS
        while address not in _EXIT_CODES and time.monotonic() < end:
            time.sleep(0.05)
        code = _EXIT_CODES.pop(address, None)
        # Dask ends a local worker only if it uses too much memory.
        return how_it_ended(-9 if code == -signal.SIGTERM else code)


class _ExitCodeNanny(Nanny):
    """Keeps the exit code of its worker, which Dask only logs."""

    def _on_worker_exit_sync(self, exitcode: int) -> None:
        with contextlib.suppress(Exception):  # informational only
            _EXIT_CODES[str(self.worker_address)] = exitcode
        super()._on_worker_exit_sync(exitcode)


@contextlib.contextmanager
def local_cluster(worker_config: WorkerConfig, workers: int) -> Iterator[DaskExecutor]:
    """Start workers on this computer, each a process that works on one study at a time.

    They share cores and memory, and listen on 127.0.0.1 only, encrypted by keys that live as long
    as the cluster. There is no dashboard.
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
                    worker_class=_ExitCodeNanny,
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
        executor = DaskExecutor(client, worker_config, cluster)
        try:
            yield executor
        finally:
            executor.close()


@contextlib.contextmanager
def remote_cluster(worker_config: WorkerConfig, address: str) -> Iterator[DaskExecutor]:
    """Use the workers of a running scheduler, such as ``tcp://host:8786``.

    The folders must have the same paths on all workers. Raises `FlomoError` if no scheduler
    answers.
    """
    with _quiet():
        try:
            client = Client(address, timeout=10, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise FlomoError(
                f"No Dask scheduler answers at {address}; check the address and that it runs."
            ) from error
        executor = DaskExecutor(client, worker_config)
        try:
            yield executor
        finally:
            executor.close()


def default_workers() -> int:
    """Return how many workers this computer has cores and memory for."""
    return max(1, min(CPU_COUNT, MEMORY_LIMIT // MEMORY_PER_WORKER_BYTES))


def _end_processes(cluster: LocalCluster) -> None:
    """Kill the workers: their results are no longer needed."""
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        with contextlib.suppress(OSError, AttributeError, TypeError):
            os.kill(nanny.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Ctrl+C in the processes that are started: they inherit the signal mask.

    A terminal sends it to all of them, but this process decides how to stop. Threads started here
    pass the mask on to workers that they restart later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it later would reset the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask's log: it disturbs the progress bar, and contains addresses and keys."""
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
        "The cluster has no workers left or its scheduler is gone; finished studies are kept: fix "
        "the cluster and run the same command again."
    )


def _other_version(found: str) -> FlomoError:
    return FlomoError(
        f"A worker of the cluster has napari-flomo {found}, but this is {__version__}; install the "
        "same version on all computers."
    )
