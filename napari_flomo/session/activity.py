"""How long a person worked on an image, as far as a program can tell."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_SECONDS = 60.0
"""Of a longer silence between two actions only this much counts: the person was elsewhere."""


class ActivityTimer:
    """Adds up the time between the actions of a person.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        self.seconds = 0.0

    def tick(self) -> None:
        """Take note of an action: a step, a stroke, an acceptance."""
        now = self._clock()
        if self._last is not None:
            self.seconds += min(max(now - self._last, 0.0), PAUSE_SECONDS)
        self._last = now
