"""One task in another process, as the host sees it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

from napari_flomo.errors import Cancelled, FlomoError, Problem
from napari_flomo.progress import Progress, ProgressCallback

_LOG = logging.getLogger(__name__)


class State(StrEnum):
    """State of a job; the last three are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)


class Busy(FlomoError):
    """A worker does one job at a time."""


class JobFailed(FlomoError):
    """A job failed; the message is the problem's sentence."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


class Job:
    """A task in another process: its state, progress and result.

    Callbacks are called **from another thread**, in order, one at a time. A host with widgets
    passes them on to its own thread (in Qt: with a queued signal) and returns immediately.

    Parameters
    ----------
    task
        Name of the task.

    Attributes
    ----------
    id
        Number of the job; set when it is started.
    """

    def __init__(self, task: str) -> None:
        self.id = 0
        self.task = task
        self._send_cancel: Callable[[Job], None] = lambda _job: None
        self._changed = threading.Condition(threading.RLock())
        self._state = State.WAITING
        self._progress = Progress()
        self._problem: Problem | None = None
        self._result: Any = None
        self._cancelling = False
        self._stage: tuple[int, str] | None = None
        self._stage_start = (0.0, 0)
        self._progress_callbacks: list[ProgressCallback] = []
        self._end_callbacks: list[Callable[[Job], None]] = []

    @property
    def state(self) -> State:
        """The current state."""
        return self._state

    @property
    def progress(self) -> Progress:
        """The last progress that the child reported."""
        return self._progress

    @property
    def problem(self) -> Problem | None:
        """Why it failed, or None."""
        return self._problem

    @property
    def cancelling(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelling

    def cancel(self) -> None:
        """Request a stop without waiting; the job is `State.CANCELLED` within a second.

        The process is asked first, so that it stays warm, and killed if it does not answer in
        time. Does nothing if the job has ended.
        """
        with self._changed:
            if self._cancelling or self._state.final:
                return
            self._cancelling = True
        self._send_cancel(self)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the result; not for the thread of a GUI.

        Parameters
        ----------
        timeout
            Seconds to wait; None waits without limit.

        Raises
        ------
        JobFailed
            If the job failed; its ``problem`` says why.
        Cancelled
            If it was cancelled.
        TimeoutError
            If it is still running.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"The job {self.task!r} is still running after {timeout} s.")
        if self._problem is not None:
            raise JobFailed(self._problem)
        if self._state is State.CANCELLED:
            raise Cancelled
        return self._result

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended and return True, or False after a timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state.final, timeout)

    def on_progress(self, callback: ProgressCallback) -> None:
        """Call ``callback(progress)`` on every report, from another thread."""
        with self._changed:
            self._progress_callbacks.append(callback)

    def on_end(self, callback: Callable[[Job], None]) -> None:
        """Call ``callback(job)`` when the job ends, from another thread; now if it has ended."""
        with self._changed:
            if not self._state.final:
                self._end_callbacks.append(callback)
                return
        callback(self)

    # The rest is for the runner of the job.

    def _start(self, number: int, send_cancel: Callable[[Job], None]) -> None:
        self.id, self._send_cancel = number, send_cancel

    def _report(self, progress: Progress) -> None:
        """Pass a report on; estimate the time left where the task does not."""
        with self._changed:
            if self._state.final:
                return
            self._state = State.RUNNING
            if progress.seconds_left is None:
                progress = replace(progress, seconds_left=self._estimate(progress))
            self._progress, callbacks = progress, list(self._progress_callbacks)
        for callback in callbacks:
            _call(callback, progress)

    def _estimate(self, progress: Progress) -> float | None:
        """Extrapolate from the start of this stage; each stage has its own total and message."""
        now, stage = time.monotonic(), (progress.total, progress.message)
        if stage != self._stage:
            self._stage, self._stage_start = stage, (now, progress.done)
        began, first = self._stage_start
        if progress.done <= first:
            return None
        return (now - began) / (progress.done - first) * max(progress.total - progress.done, 0)

    def _end(self, state: State, result: Any = None, problem: Problem | None = None) -> None:
        """End the job, wake waiting threads, and call the callbacks."""
        with self._changed:
            self._state, self._result, self._problem = state, result, problem
            callbacks, self._end_callbacks = self._end_callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            _call(callback, self)


def _call(callback: Callable[[Any], None], argument: Any) -> None:
    """Call a function of the host; its errors must not end the thread that reads the pipe."""
    try:
        callback(argument)
    except Exception:
        _LOG.exception("A callback of a job failed")
