"""The progress bar of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Report(Protocol):
    """Shows how far the work is; a note stands behind the time left."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show it."""


@contextmanager
def progress_bar(label: str, unit: str, quiet: bool) -> Iterator[Report]:
    """Show a bar with the time left on stderr while the block runs.

    Nothing is shown when ``quiet`` is set or stderr is not a terminal, so that logs stay clean.

    Parameters
    ----------
    label
        What is going on, in a word.
    unit
        What is counted, in the singular; ``"B"`` for bytes, which are shown as kB and MB.
    quiet
        Whether to show nothing.

    Yields
    ------
    callable
        ``report(done, total, note="")``, to be called as the work goes on.
    """
    from tqdm import tqdm

    bar: tqdm[Any] | None = None

    def report(done: int, total: int, note: str = "") -> None:
        nonlocal bar
        if bar is None:  # not before the total is known: the time left depends on it
            disable = True if quiet else None  # None: only if stderr is no terminal
            bar = tqdm(
                desc=label,
                unit=unit,
                unit_scale=unit == "B",
                total=total,
                disable=disable,
                leave=False,
            )
        if note:
            bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
