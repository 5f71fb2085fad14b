"""Write every stroke to a journal on disk in a background thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Journal, Stroke
from napari_flomo.errors import FlomoError
from napari_flomo.session.review import SliceIndex

EditKind = Literal["stroke", "undo"]
OnProblem = Callable[[str | None], None]


class Autosave:
    """The journal of one image, written by a background thread, in order.

    The journal is created with the first stroke, so viewing an image leaves nothing on disk. No
    ``record_*`` method blocks; `flush` waits until everything is written.

    Parameters
    ----------
    make
        Creates or opens the journal; called in the thread.
    on_problem
        Called from the thread with one sentence when strokes cannot be written, later with None.
    """

    def __init__(self, make: Callable[[], Journal], on_problem: OnProblem) -> None:
        self._make = make
        self._on_problem = on_problem
        self._journal: Journal | None = None
        self._problem: str | None = None
        self._waiting: queue.SimpleQueue[Stroke | Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def resume(cls, journal: Journal, on_problem: OnProblem) -> Autosave:
        """Continue an open journal that a crash left."""
        autosave = cls(lambda: journal, on_problem)
        autosave._journal = journal
        return autosave

    def record_change(
        self,
        kind: EditKind,
        indices: NDArray[np.integer],
        old: NDArray[np.integer],
        new: NDArray[np.integer],
    ) -> None:
        """Record a change of voxels; the parameters are those of `Stroke.of`."""
        self._record(Stroke.of(kind, indices=indices, old=old, new=new, time=time.time()))

    def record_accepted(self, index: SliceIndex, accepted: bool = True) -> None:
        """Record that a slice was accepted, or reopened."""
        note = {"frame": int(index.frame), "slice": int(index.slice), "accepted": accepted}
        self._record(Stroke("accept", time=time.time(), note=note))

    def record_locked(self, code: int, locked: bool) -> None:
        """Record that a label was locked, or unlocked."""
        self._record(Stroke("lock", time=time.time(), note={"code": int(code), "locked": locked}))

    def record_phases(self, phases: Mapping[str, Any]) -> None:
        """Record the frames of end diastole and end systole, as of `HeartPhases.to_dict`."""
        self._record(Stroke("phases", time=time.time(), note={"phases": dict(phases)}))

    def finish(self) -> None:
        """Wait for the last stroke and remove the journal, because the labels were saved."""
        self._end(Journal.finish)

    def close(self) -> None:
        """Wait for the last stroke and leave the journal, to be offered at the next start."""
        self._end(Journal.close)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything is written; return False after a timeout in seconds."""
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
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None
        if self._journal is not None:
            with suppress(FlomoError):
                how(self._journal)
            self._journal = None

    def _work(self) -> None:
        pending: list[Stroke] = []  # while there is no journal to write to
        while (item := self._waiting.get()) is not None:
            if isinstance(item, Stroke):
                pending.append(item)
            problem = self._write(pending)
            if callable(item):
                item()
            if problem != self._problem:
                self._problem = problem
                self._on_problem(problem)

    def _write(self, pending: list[Stroke]) -> str | None:
        try:
            if self._journal is None:
                self._journal = self._make()
            problem = self._journal.problem
            while pending:
                problem = self._journal.record(pending.pop(0))
        except FlomoError as error:
            return str(error)
        return problem
