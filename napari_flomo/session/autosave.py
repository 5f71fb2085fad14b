"""Every stroke goes into a journal on the disk, without keeping the brush waiting."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Journal, Stroke
from napari_flomo.errors import FlomoError
from napari_flomo.session.images import OpenImage
from napari_flomo.session.recovery import journal_note
from napari_flomo.session.review import Place

Tell = Callable[[str | None], None]


class Autosave:
    """The journal of one image, written by a thread of its own, in order.

    The journal is made when the first stroke comes, so that looking at an image leaves nothing on
    the disk. Until `close` or `finish` returns, strokes may still be on their way.

    Parameters
    ----------
    make
        Creates or opens the journal; called in the thread.
    tell
        Called with one sentence when strokes cannot be written, and with None when they can again;
        from the thread; `words.journal_text` makes it a sentence of its own.
    """

    def __init__(self, make: Callable[[], Journal], tell: Tell) -> None:
        self._make = make
        self._tell = tell
        self._journal: Journal | None = None
        self._problem: str | None = None
        self._waiting: queue.SimpleQueue[Stroke | Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def begin(cls, image: OpenImage, before: NDArray[np.integer], tell: Tell) -> Autosave:
        """Keep a new journal of an image.

        Parameters
        ----------
        image
            It was segmented.
        before
            Its labels before the first stroke; they become the journal's own.
        tell
            See `Autosave`.
        """
        assert image.labels is not None
        volume = image.volume
        labels = image.labels.with_data(before, axes=image.labels.axes)
        note, locked, accepted = journal_note(image), image.locked, tuple(image.vouched)

        def make() -> Journal:
            return Journal.create(
                volume,
                labels,
                image_hash=image.hash,
                about=note,
                locked=locked,
                accepted=accepted,
            )

        return cls(make, tell)

    @classmethod
    def resume(cls, folder: Path, tell: Tell) -> Autosave:
        """Go on with the journal that a crash left; once this returns, nobody else offers it."""
        keeper = cls(lambda: Journal.open(folder), tell)
        keeper._start()
        keeper.flush()  # the thread opens it now; where it cannot, every stroke tries again
        return keeper

    def note_change(
        self,
        kind: Literal["stroke", "undo"],
        indices: NDArray[np.integer],
        old: NDArray[np.integer],
        new: NDArray[np.integer],
    ) -> None:
        """Write a change of voxels soon, within milliseconds; returns at once, as all of these.

        Parameters
        ----------
        kind, indices, old, new
            As in `Stroke.of`.
        """
        self._record(Stroke.of(kind, indices=indices, old=old, new=new, time=time.time()))

    def note_accepted(self, place: Place, accepted: bool = True) -> None:
        """Write down that a slice is right as it is, or not any more."""
        note = {"frame": int(place.frame), "slice": int(place.slice), "accepted": accepted}
        self._record(Stroke("accept", time=time.time(), note=note))

    def note_locked(self, code: int, locked: bool) -> None:
        """Write down that a label is finished, or not any more."""
        self._record(Stroke("lock", time=time.time(), note={"code": int(code), "locked": locked}))

    def finish(self) -> None:
        """Wait for the last stroke and remove the journal: the labels are safe elsewhere."""
        self._end(Journal.finish)

    def close(self) -> None:
        """Wait for the last stroke and leave the journal, to be offered at the next start."""
        self._end(Journal.close)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until what was noted is written; tell whether it is."""
        if self._thread is None:
            return True
        done = threading.Event()
        self._waiting.put(done.set)
        return done.wait(timeout)

    def _record(self, stroke: Stroke) -> None:
        self._start()
        self._waiting.put(stroke)

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
