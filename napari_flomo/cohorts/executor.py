"""Who does the work: the interface, and the executor of one that needs nothing but this process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from napari_flomo.cohorts.order import StudyTask
from napari_flomo.cohorts.row import Row
from napari_flomo.cohorts.study_runner import StudyRunner, WorkerConfig


@dataclass(frozen=True)
class Outcome:
    """How an task ended.

    Attributes
    ----------
    task
        Which one.
    row
        What became of the study; None where the work was lost.
    fault
        The sentence about it, where it was lost.
    """

    task: StudyTask
    row: Row | None
    fault: str = ""


class Executor(Protocol):
    """Takes tasks and gives outcomes, in any order."""

    def slots(self) -> int:
        """Return how many tasks may be with the executor at once, now."""

    def give(self, task: StudyTask) -> None:
        """Hand over an task."""

    def take(self, seconds: float) -> list[Outcome]:
        """Return what has ended, after waiting for it so long at most."""

    def stop(self) -> int:
        """Let all work end soon; return how many outcomes may still come."""

    def close(self) -> None:
        """End whatever was started."""


class Alone:
    """Works in this process, one study after the other.

    A study that takes the process with it ends the run.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._runner = StudyRunner(config)
        self._runner.load()
        self._waiting: deque[StudyTask] = deque()

    def slots(self) -> int:
        """One at a time."""
        return 1

    def give(self, task: StudyTask) -> None:
        """Hand over an task; `take` does it."""
        self._waiting.append(task)

    def take(self, seconds: float) -> list[Outcome]:  # noqa: ARG002 - it never waits
        """Do what was given."""
        outcomes = []
        while self._waiting:
            task = self._waiting.popleft()
            outcomes.append(Outcome(task, self._runner.segment(task)))
        return outcomes

    def stop(self) -> int:
        """Forget what was not begun."""
        self._waiting.clear()
        return 0

    def close(self) -> None:
        """Nothing was started."""
