"""The worker process, and its reports passed on to Slicer's main thread."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from FLoMoSegmentationLib import versions

if TYPE_CHECKING:
    from napari_flomo.session import Spawn, Worker

_LOG = logging.getLogger(__name__)

YIELD_SECONDS = 0.005
"""Sleep of `CallQueue.drain`, in which other threads run: an idle Slicer may hold the GIL."""

DRAIN_INTERVAL_MS = 40
"""Interval of the timer that drains the queue while something runs."""


def make_worker(spawn: Spawn | None = None) -> Worker:
    """Return a worker whose child is ``PythonSlicer -m napari_flomo worker``.

    Parameters
    ----------
    spawn
        Another way to start the child, for tests.

    Raises
    ------
    FlomoError
        If there is no PythonSlicer.
    """
    from napari_flomo.errors import FlomoError
    from napari_flomo.session import Worker, python_spawner

    if spawn is None:
        try:
            spawn = python_spawner(versions.python_executable())
        except FileNotFoundError as error:
            raise FlomoError(
                "PythonSlicer was not found beside Slicer; install Slicer again."
            ) from error
    return Worker(spawn)


class CallQueue:
    """Functions are put from any thread and called in the thread that drains the queue."""

    def __init__(self) -> None:
        self._actions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.closed = False

    def put(self, action: Callable[[], None]) -> None:
        """Call a function at the next `drain`; may be called from any thread."""
        if not self.closed:
            self._actions.put(action)

    def drain(self) -> None:
        """Let other threads run for a moment, then call what they have put, in order."""
        time.sleep(YIELD_SECONDS)
        while not self.closed:
            try:
                action = self._actions.get_nowait()
            except queue.Empty:
                return
            try:
                action()
            except Exception:  # the others must still be called
                _LOG.exception("A report of FLoMo Segmentation could not be processed")
