"""The worker process, and a queue that passes its reports to Slicer's main thread."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from FLoMoSegmentationLib import compat

if TYPE_CHECKING:
    from napari_flomo.session import Worker

_LOG = logging.getLogger(__name__)

YIELD_SECONDS = 0.005
"""Sleep in `CallQueue.drain` that lets other threads run: an idle Slicer may hold the GIL."""

DRAIN_INTERVAL_MS = 40
"""Interval of the timer that drains the queue while something runs."""


def make_worker() -> Worker:
    """Return a worker whose child process is ``PythonSlicer -m napari_flomo worker``.

    Raises
    ------
    FlomoError
        If PythonSlicer is not found.
    """
    from napari_flomo.errors import FlomoError
    from napari_flomo.session import Worker, python_spawner

    try:
        return Worker(python_spawner(compat.python_executable()))
    except FileNotFoundError as error:
        raise FlomoError("PythonSlicer was not found; install Slicer again.") from error


class CallQueue:
    """Functions from any thread, called in the thread that drains the queue."""

    def __init__(self) -> None:
        self._actions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.closed = False

    def put(self, action: Callable[[], None]) -> None:
        """Call a function at the next `drain`; may be called from any thread."""
        if not self.closed:
            self._actions.put(action)

    def drain(self) -> None:
        """Let other threads run for a moment, then call the queued functions in order.

        What these put into the queue waits for the next call, so that Slicer can handle events.
        """
        time.sleep(YIELD_SECONDS)
        for _ in range(self._actions.qsize()):
            if self.closed:
                return
            action = self._actions.get()
            try:
                action()
            except Exception:  # the other functions must still be called
                _LOG.exception("A report of FLoMo Segmentation could not be processed")
