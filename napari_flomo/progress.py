"""How far long work is: one type for downloads, segmentation, training and their progress bars."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How much of some work is done.

    Attributes
    ----------
    done, total
        Slices, bytes or steps; both are 0 while the total is unknown.
    message
        What is being done, in a few words; may be empty.
    seconds_left
        An estimate, or None.
    data
        Anything else to report, such as a point of the training curves.
    """

    done: int = 0
    total: int = 0
    message: str = ""
    seconds_left: float | None = None
    data: Mapping[str, Any] | None = None


ProgressCallback = Callable[[Progress], None]
"""Called with the progress of long work; cheap enough to be called for every slice."""


def no_progress(_progress: Progress) -> None:
    """Ignore the progress; the default of optional callbacks."""


@contextmanager
def progress_bar(
    unit: str, *, quiet: bool = False, line_seconds: float | None = None
) -> Iterator[ProgressCallback]:
    """Show a progress bar on stderr while the block runs; yields its `ProgressCallback`.

    Nothing is shown when ``quiet`` is set. When stderr is not a terminal, nothing is shown either,
    so that logs stay clean, unless ``line_seconds`` is given: then a line is printed whenever the
    message changes, and no more often than that for progress. ``unit`` is what is counted, in the
    singular; ``"B"`` for bytes, which are shown as kB and MB.
    """
    if line_seconds is not None and not quiet and not sys.stderr.isatty():
        yield _lines(unit, line_seconds)
        return
    from tqdm import tqdm

    bar: tqdm[Any] | None = None
    shown = ""

    def report(progress: Progress) -> None:
        nonlocal bar, shown
        if bar is None:
            disable = True if quiet else None  # None: only if stderr is not a terminal
            # delay: not drawn before it has a total and a message
            bar = tqdm(unit=unit, unit_scale=unit == "B", disable=disable, leave=False, delay=1e-9)
        other = progress.message != shown and progress.total != bar.total
        if progress.total and (other or not bar.total):
            bar.reset(progress.total)  # the time left is estimated from here on
        if progress.message != shown:
            shown = progress.message
            bar.set_description(shown)
        bar.update(progress.done - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def _lines(unit: str, seconds: float) -> ProgressCallback:
    """Return a callback that prints lines on stderr, at most one in so many seconds."""
    shown, printed = "", 0.0

    def report(progress: Progress) -> None:
        nonlocal shown, printed
        now = time.monotonic()
        ended = bool(progress.total) and progress.done == progress.total
        if progress.message == shown and now - printed < seconds and not ended:
            return
        shown, printed = progress.message, now
        print(_line(progress, unit), file=sys.stderr, flush=True)

    return report


def _line(progress: Progress, unit: str) -> str:
    line = progress.message
    if progress.total:
        line += f": {unit} {progress.done} of {progress.total}"
    if progress.seconds_left:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        line += f", {minutes} min left" if minutes > 1 else f", {60 * minutes + seconds} s left"
    return line
