"""Timing of alternating calls, so that other load on the computer affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")


def timed(task: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds of a call, and its result."""
    start = time.perf_counter()
    result = task()
    return time.perf_counter() - start, result


def time_in_turns(
    tasks: Mapping[Name, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Return the seconds of each task in each round; a first round warms up."""
    seconds: dict[Name, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            start = clock()
            task()
            if number:
                seconds[name].append(clock() - start)
    return seconds
