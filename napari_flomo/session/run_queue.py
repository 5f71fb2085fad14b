"""Start runs one after another, and merge their results with their images.

Results are merged in a thread and put in place in the viewer's thread: merging a long cine takes
some tenths of a second, in which a window would not respond.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from napari_flomo.errors import FlomoError, Problem, describe
from napari_flomo.jobs import Job, Progress, State
from napari_flomo.models import AUTOMATIC
from napari_flomo.session import editing
from napari_flomo.session.events import (
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunProgressed,
    RunQueued,
    RunStarted,
)
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.insertions import phases_note
from napari_flomo.session.merging import (
    MergedResult,
    merge_map_result,
    merge_result,
    put_result,
)
from napari_flomo.session.review_actions import record_acceptances
from napari_flomo.session.runs import Outcome, Run

MERGE_ATTEMPTS = 3
"""Painting makes a merge stale; after this many attempts it is done in the viewer's thread."""

Dispatch = Callable[[Callable[[], None]], None]


class RunQueue:
    """Starts runs in the order in which they were added.

    ``dispatch`` passes a function on to the viewer's thread, where ``notify`` is called with the
    events of the runs.

    Attributes
    ----------
    running
        The run in progress, until its result is merged.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        images: Mapping[str, OpenImage],
        notify: Callable[[Event], None],
    ) -> None:
        self._dispatch = dispatch
        self._images = images
        self._notify = notify
        self._closed = False
        self._waiting: list[tuple[Run, Callable[[Run], object]]] = []
        self.running: Run | None = None

    @property
    def waiting(self) -> tuple[Run, ...]:
        """The runs that are not started yet, the next one first."""
        return tuple(run for run, _start in self._waiting)

    def add(self, run: Run, start: Callable[[Run], object]) -> Run:
        """Call ``start(run)`` as soon as nothing else runs; return the run.

        Raises `FlomoError` if it cannot be started now.
        """
        if self.running is None:
            self._begin(run, start)
        else:
            run._start(0, self._cancel_waiting)
            self._waiting.append((run, start))
            self._notify(RunQueued(run))
        return run

    def cancel_all(self, key: str) -> None:
        """Cancel all runs on an image."""
        self._drop(run for run in self.waiting if run.key == key)
        if self.running is not None and self.running.key == key:
            self.running.cancel()

    def close(self) -> None:
        """Drop the runs that wait, and the result of that in progress."""
        self._closed = True
        waiting, self._waiting = self.waiting, []
        for run in waiting:
            run._settle(State.CANCELLED)

    def _begin(self, run: Run, start: Callable[[Run], object]) -> None:
        start(run)
        self.running = run
        self._notify(RunStarted(run))
        run.on_progress(lambda progress: self._dispatch(lambda: self._progressed(run, progress)))
        run._on_outcome(self._merge)

    def _begin_next(self) -> None:
        while self.running is None and self._waiting:
            run, start = self._waiting.pop(0)
            if run.cancelling:
                self._end(run, State.CANCELLED, None)
                continue
            try:
                self._begin(run, start)
            except FlomoError as error:
                self._end(run, State.FAILED, describe(error))

    def _cancel_waiting(self, job: Job) -> None:
        """End a run that waits; one that has started meanwhile is cancelled there."""
        self._dispatch(lambda: self._drop(run for run in self.waiting if run is job))

    def _drop(self, runs: Iterable[Run]) -> None:
        dropped = tuple(runs)
        self._waiting = [one for one in self._waiting if one[0] not in dropped]
        for run in dropped:
            self._end(run, State.CANCELLED, None)

    def _progressed(self, run: Run, progress: Progress) -> None:
        if self.running is run:
            self._notify(RunProgressed(run, progress))

    def _merge(self, run: Run, outcome: Outcome, attempt: int = 1) -> None:
        """Merge the outcome of a run; called in another thread than the viewer's."""
        merged = None
        image = self._images.get(run.key or "")
        if image is not None and outcome.state is State.DONE and not run.cancelling:
            merged = _merged(image, run, outcome)
        self._dispatch(lambda: self._put(run, outcome, merged, attempt))

    def _put(
        self, run: Run, outcome: Outcome, merged: MergedResult | Problem | None, attempt: int
    ) -> None:
        """Put a merged result in place, unless the image was edited meanwhile."""
        problem = merged if isinstance(merged, Problem) else outcome.problem
        image = self._images.get(run.key or "")
        if (
            isinstance(merged, MergedResult)
            and image is not None
            and not run.cancelling
            and not _put(image, merged)
        ):
            if attempt < MERGE_ATTEMPTS:
                again = partial(self._merge, run, outcome, attempt + 1)
                threading.Thread(target=again, daemon=True).start()
                return
            merged = _merged(image, run, outcome)
            if isinstance(merged, Problem):
                problem = merged
            else:
                _put(image, merged)
        self._end(run, outcome.state, problem)

    def _end(self, run: Run, state: State, problem: Problem | None) -> None:
        """Report how a run ended; one whose image was closed counts as cancelled."""
        if self.running is run:
            self.running = None
        image = self._images.get(run.key or "")
        closed = run.key is not None and image is None
        if self._closed or closed or run.cancelling or state is State.CANCELLED:
            run._settle(State.CANCELLED)
            self._notify(RunCancelled(run))
        elif problem is None:
            if image is not None and not run.only_maps:
                image.model = _model_of(image, run)
            run._settle(State.DONE)
            self._notify(RunFinished(run))
        else:
            run._settle(State.FAILED, problem)
            self._notify(RunFailed(run, problem))
        self._begin_next()


def _merged(image: OpenImage, run: Run, outcome: Outcome) -> MergedResult | Problem:
    """Return the merged result, or why it cannot be merged."""
    assert run.scope is not None
    try:
        if run.only_maps:
            merged = merge_map_result(image, outcome.result, run.scope)
        else:
            merged = merge_result(image, outcome.result, run.scope, run.consented)
        _ = image.hash  # cached here; it is needed next and takes a moment
        return merged
    except Exception as error:  # the run must end, and the image stays as it was
        return describe(error)


def _model_of(image: OpenImage, run: Run) -> str:
    """Return the model of a run, which the image may have chosen."""
    if run.model == AUTOMATIC and image.segmentation is not None:
        return image.segmentation.card.name
    return run.model or ""


def _put(image: OpenImage, new: MergedResult) -> bool:
    """Put a merged result in its image and record what it changed; see `put_result`."""
    if not put_result(image, new):
        return False
    before = new.basis[1]
    if new.labels is not None:
        image.earlier = None
        record_acceptances(image, new.accepted)
        if before is not None:
            editing.record_difference(image, before)
        if image.autosave is not None:
            image.autosave.record_phases(phases_note(image))
    return True
