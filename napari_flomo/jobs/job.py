"""One piece of work in a child process, as the host sees it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from napari_flomo.errors import Cancelled, FlomoError

_LOG = logging.getLogger(__name__)


class State(StrEnum):
    """How far a job is; the last three are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing will happen any more."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """How much of a job is done.

    Attributes
    ----------
    done, total
        Slices, bytes or whatever the task counts; both 0 while the total is unknown.
    seconds_left
        Estimate, or None while there is nothing to judge by.
    message
        What is going on, in a few words; may be empty.
    data
        What else there is to tell, such as a point of a training's curves; often None.
    """

    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    message: str = ""
    data: Mapping[str, Any] | None = None


class Report(Protocol):
    """Tells how far long work is, from inside of it: the arguments are those of `Progress`."""

    def __call__(
        self,
        done: int,
        total: int,
        seconds_left: float | None = None,
        message: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Report; cheap enough to be called for every slice. ``data`` always arrives."""


@dataclass(frozen=True)
class Problem:
    """Why a job failed.

    Attributes
    ----------
    sentence
        For the user: what is wrong and what to do.
    details
        For a bug report, behind a button: the traceback, or what the child last wrote.
    kind
        ``"out_of_gpu_memory"`` (offer the CPU), ``"missing_model"`` (offer the list of models),
        ``"flomo"`` (anything else the user can mend), ``"died"`` (the child process was ended from
        outside) or ``"bug"`` (a fault of ours).
    """

    sentence: str
    details: str = ""
    kind: str = "bug"


class Busy(FlomoError):
    """A worker does one job at a time."""


class JobFailed(FlomoError):
    """A job failed; the message is the problem's sentence."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


class Job:
    """Work that was handed to a `Worker`; made by `Worker.submit` only.

    Callbacks are called **from another thread**, in order, one at a time. A host with widgets hands
    them over to its own thread (in Qt: by a queued signal) and returns at once.

    Attributes
    ----------
    id
        Distinguishes the job from all others of its worker.
    task
        What was asked for.
    """

    def __init__(self, number: int, task: str, cancel: Callable[[Job], None]) -> None:
        self.id = number
        self.task = task
        self._ask_to_cancel = cancel
        self._changed = threading.Condition(threading.RLock())
        self._state = State.WAITING
        self._progress = Progress()
        self._problem: Problem | None = None
        self._result: Any = None
        self._cancelling = False
        self._stage: tuple[int, str] | None = None
        self._first = (0.0, 0)
        self._progress_callbacks: list[Callable[[Progress], None]] = []
        self._end_callbacks: list[Callable[[Job], None]] = []

    @property
    def state(self) -> State:
        """How far it is."""
        return self._state

    @property
    def progress(self) -> Progress:
        """The last progress that the child reported."""
        return self._progress

    @property
    def problem(self) -> Problem | None:
        """Why it failed; None unless it did."""
        return self._problem

    @property
    def cancelling(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelling

    def cancel(self) -> None:
        """Ask the job to stop, and return at once; within a second it is `State.CANCELLED`.

        The child is asked first, so that it stays warm. If it does not answer in time it is killed
        and the next job starts a new one. A job that has ended already stays as it is.
        """
        with self._changed:
            if self._cancelling or self._state.final:
                return
            self._cancelling = True
        self._ask_to_cancel(self)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return what the task returned. Not for a GUI's thread.

        Parameters
        ----------
        timeout
            Seconds to wait; None waits for ever.

        Raises
        ------
        JobFailed
            If the job failed; ``problem`` tells why.
        Cancelled
            If it was cancelled.
        TimeoutError
            If it still runs.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"The job {self.task!r} still runs after {timeout} seconds.")
        if self._problem is not None:
            raise JobFailed(self._problem)
        if self._state is State.CANCELLED:
            raise Cancelled
        return self._result

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended; tell whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state.final, timeout)

    def on_progress(self, callback: Callable[[Progress], None]) -> None:
        """Call ``callback(progress)`` on every progress, from another thread."""
        with self._changed:
            self._progress_callbacks.append(callback)

    def on_end(self, callback: Callable[[Job], None]) -> None:
        """Call ``callback(job)`` once when the job ends, from another thread; now if it has."""
        with self._changed:
            if not self._state.final:
                self._end_callbacks.append(callback)
                return
        callback(self)

    # What follows is for the worker.

    def _report(
        self,
        done: int,
        total: int,
        seconds_left: float | None,
        message: str,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Take in a progress; estimate the time left where the child does not say."""
        with self._changed:
            if self._state.final:
                return
            self._state = State.RUNNING
            if seconds_left is None:
                seconds_left = self._estimate(done, total, message)
            self._progress = Progress(done, total, seconds_left, message, data)
            callbacks, progress = list(self._progress_callbacks), self._progress
        for callback in callbacks:
            _call(callback, progress)

    def _estimate(self, done: int, total: int, message: str) -> float | None:
        """Judge by the pace since this stage began; a stage has its own total and message."""
        now, stage = time.monotonic(), (total, message)
        if stage != self._stage:
            self._stage, self._first = stage, (now, done)
        began, first = self._first
        if done <= first:
            return None
        return (now - began) / (done - first) * max(total - done, 0)

    def _end(self, state: State, result: Any = None, problem: Problem | None = None) -> None:
        """Settle the job and tell who waits."""
        with self._changed:
            self._state, self._result, self._problem = state, result, problem
            callbacks, self._end_callbacks = self._end_callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            _call(callback, self)


def _call(callback: Callable[[Any], None], argument: Any) -> None:
    """Call a host's function; its faults must not end the thread that listens to the child."""
    try:
        callback(argument)
    except Exception:
        _LOG.exception("A callback of a job failed")
