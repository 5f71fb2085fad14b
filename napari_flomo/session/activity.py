"""Estimate how long a person worked on an image."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_SECONDS = 60.0
"""A longer pause between two actions counts as this many seconds."""


class ActivityTimer:
    """Add up the time between the actions of a person; ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        self.seconds = 0.0

    def tick(self) -> None:
        """Count the time since the last action: a step, a stroke, an accepted slice."""
        now = self._clock()
        if self._last is not None:
            self.seconds += min(max(now - self._last, 0.0), PAUSE_SECONDS)
        self._last = now
