"""Every stroke goes into a journal on the disk, without keeping the brush waiting."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_flomo.corrections import Journal, Stroke
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume

Make = Callable[[], Journal]


class Keeper:
    """The journal of one image, written by a thread of its own, in order.

    The journal is made when the first stroke comes, so that looking at an image leaves nothing on
    the disk. Until `close` or `finish` returns, strokes may still be on their way.

    Parameters
    ----------
    make
        Creates or opens the journal; called in the thread.
    tell
        Called with one sentence when strokes cannot be written, and with None when they can again;
        from the thread.
    """

    def __init__(self, make: Make, tell: Callable[[str | None], None]) -> None:
        self._make = make
        self._tell = tell
        self._journal: Journal | None = None
        self._problem: str | None = None
        self._waiting: queue.SimpleQueue[Stroke | Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(
        cls,
        image: Volume,
        labels: Volume,
        image_hash: Callable[[], str],
        about: Mapping[str, Any],
        tell: Callable[[str | None], None],
        *,
        locked: Iterable[int] = (),
        accepted: Iterable[tuple[int, int]] = (),
    ) -> Keeper:
        """Keep a new journal of an image; the labels are a copy from before the first stroke."""

        def make() -> Journal:
            return Journal.create(
                image,
                labels,
                image_hash=image_hash(),
                about=about,
                locked=locked,
                accepted=accepted,
            )

        return cls(make, tell)

    @classmethod
    def resumed(cls, folder: Path, tell: Callable[[str | None], None]) -> Keeper:
        """Go on with the journal that a crash left; once this returns, nobody else offers it."""
        keeper = cls(lambda: Journal.open(folder), tell)
        keeper._start()
        keeper.flush()  # the thread opens it now; where it cannot, every stroke tries again
        return keeper

    @property
    def used(self) -> bool:
        """Whether there was anything to write."""
        return self._thread is not None

    def record(self, stroke: Stroke) -> None:
        """Write a stroke soon, within milliseconds; returns at once."""
        self._start()
        self._waiting.put(stroke)

    def finish(self) -> None:
        """Wait for the last stroke and remove the journal: the labels are safe elsewhere."""
        self._end(Journal.finish)

    def close(self) -> None:
        """Wait for the last stroke and leave the journal, to be offered at the next start."""
        self._end(Journal.close)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until what was recorded is written; tell whether it is."""
        if self._thread is None:
            return True
        done = threading.Event()
        self._waiting.put(done.set)
        return done.wait(timeout)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="flomo journal", daemon=True)
            self._thread.start()

    def _end(self, how: Callable[[Journal], None]) -> None:
        if self._thread is None:
            return
        self._waiting.put(None)
        self._thread.join()
        self._thread = None
        if self._journal is not None:
            with suppress(FlomoError):
                how(self._journal)
            self._journal = None

    def _work(self) -> None:
        kept: list[Stroke] = []  # while there is no journal to write to
        while (item := self._waiting.get()) is not None:
            if isinstance(item, Stroke):
                kept.append(item)
            problem = self._written(kept)
            if callable(item):
                item()
            if problem != self._problem:
                self._problem = problem
                self._tell(problem)

    def _written(self, kept: list[Stroke]) -> str | None:
        try:
            if self._journal is None:
                self._journal = self._make()
            problem = self._journal.problem
            while kept:
                problem = self._journal.record(kept.pop(0))
        except FlomoError as error:
            return str(error)
        return problem
