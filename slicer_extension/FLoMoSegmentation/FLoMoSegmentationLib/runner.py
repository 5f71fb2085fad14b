"""Start the worker, and call functions from other threads in the thread of Slicer."""

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

BREATH = 0.005
"""Seconds that `CallQueue.drain` sleeps, so that other threads run: while Slicer waits for the
mouse it may hold Python's lock."""

EVERY_MS = 40
"""How often a timer should drain the queue while something runs."""


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
    """A queue of functions from any thread, called in the thread that drains it.

    Parameters
    ----------
    breath
        See `BREATH`.
    """

    def __init__(self, breath: float = BREATH) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._breath = breath
        self.closed = False

    def put(self, action: Callable[[], None]) -> None:
        """Have a function called at the next `drain`; from any thread."""
        if not self.closed:
            self._waiting.put(action)

    def drain(self) -> None:
        """Let other threads run for a moment, then call their functions in order."""
        time.sleep(self._breath)
        while not self.closed:
            try:
                action = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                action()
            except Exception:  # one fault must not keep the rest from being told
                _LOG.exception("A report of FLoMo Segmentation could not be taken in")
