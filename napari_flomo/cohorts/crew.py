"""Who does the work: the interface, and the crew of one that needs nothing but this process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from napari_flomo.cohorts.order import Errand
from napari_flomo.cohorts.row import Row
from napari_flomo.cohorts.workplace import Brief, Workplace


@dataclass(frozen=True)
class Outcome:
    """How an errand ended.

    Attributes
    ----------
    errand
        Which one.
    row
        What became of the study; None where the work was lost.
    fault
        The sentence about it, where it was lost.
    """

    errand: Errand
    row: Row | None
    fault: str = ""


class Crew(Protocol):
    """Takes errands and gives outcomes, in any order."""

    def slots(self) -> int:
        """Return how many errands may be with the crew at once, now."""

    def give(self, errand: Errand) -> None:
        """Hand over an errand."""

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

    def __init__(self, brief: Brief) -> None:
        self._workplace = Workplace(brief)
        self._workplace.load()
        self._waiting: deque[Errand] = deque()

    def slots(self) -> int:
        """One at a time."""
        return 1

    def give(self, errand: Errand) -> None:
        """Hand over an errand; `take` does it."""
        self._waiting.append(errand)

    def take(self, seconds: float) -> list[Outcome]:  # noqa: ARG002 - it never waits
        """Do what was given."""
        outcomes = []
        while self._waiting:
            errand = self._waiting.popleft()
            outcomes.append(Outcome(errand, self._workplace.segment(errand)))
        return outcomes

    def stop(self) -> int:
        """Forget what was not begun."""
        self._waiting.clear()
        return 0

    def close(self) -> None:
        """Nothing was started."""
