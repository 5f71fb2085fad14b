"""The interface of an executor, and one that works in this process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from napari_flomo.cohorts.config import StudyTask
from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.cohorts.study_runner import StudyRunner, WorkerConfig


@dataclass(frozen=True)
class Outcome:
    """How a task ended; without a result if the worker was lost, which ``error`` explains."""

    task: StudyTask
    result: StudyResult | None
    error: str = ""


class Executor(Protocol):
    """Runs tasks and returns their outcomes, in any order."""

    def slots(self) -> int:
        """Return how many tasks can run concurrently at present."""

    def submit(self, task: StudyTask) -> None:
        """Submit a task."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Return outcomes, waiting for the first one at most this long."""

    def stop(self) -> int:
        """Stop all work soon; return how many outcomes may still come."""

    def close(self) -> None:
        """End all processes that were started."""


class InProcessExecutor:
    """Runs studies in this process, one after the other.

    A study that crashes the process ends the run.
    """

    def __init__(self, worker_config: WorkerConfig) -> None:
        self._runner = StudyRunner(worker_config)
        self._runner.load()
        self._waiting: deque[StudyTask] = deque()

    def slots(self) -> int:
        """Return 1."""
        return 1

    def submit(self, task: StudyTask) -> None:
        """Queue a task; `wait` runs it."""
        self._waiting.append(task)

    def wait(self, seconds: float) -> list[Outcome]:  # noqa: ARG002 - it never waits
        """Run all queued tasks."""
        outcomes = []
        while self._waiting:
            task = self._waiting.popleft()
            outcomes.append(Outcome(task, self._runner.segment(task)))
        return outcomes

    def stop(self) -> int:
        """Drop the queued tasks."""
        self._waiting.clear()
        return 0

    def close(self) -> None:
        """Do nothing: no process was started."""
