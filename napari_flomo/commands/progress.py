"""The progress bar of the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(label: str, unit: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with the time left on stderr while the block runs.

    Nothing is shown when ``quiet`` is set or stderr is not a terminal, so that logs stay clean.

    Parameters
    ----------
    label
        What is going on, in a word.
    unit
        What is counted, in the singular.
    quiet
        Whether to show nothing.

    Yields
    ------
    callable
        ``report(done, total)``, to be called as the work goes on.
    """
    from tqdm import tqdm

    disable = True if quiet else None  # None lets tqdm look whether stderr is a terminal
    with tqdm(desc=label, unit=unit, file=sys.stderr, disable=disable, leave=False, total=0) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report
