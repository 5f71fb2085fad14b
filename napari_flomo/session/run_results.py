"""Follow a run and merge its result with its image.

Results are merged in a thread and put in place in the viewer's thread: merging a long cine takes
some tenths of a second, in which a window would not respond.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial

from napari_flomo.errors import Problem, describe
from napari_flomo.jobs import Busy, Progress, State
from napari_flomo.session import editing
from napari_flomo.session.events import (
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunProgressed,
    RunStarted,
)
from napari_flomo.session.image_state import OpenImage
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


class RunFollower:
    """Follows one run at a time: ``running``, until its result is merged.

    ``dispatch`` passes a function on to the viewer's thread, where ``notify`` is called with the
    events of the run.
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
        self.running: Run | None = None

    def check_idle(self) -> None:
        """Raise `Busy` while a run is in progress."""
        if self.running is not None:
            what = "A segmentation" if self.running.task == "segment" else "Other work"
            raise Busy(f"{what} is under way; wait until it is done, or cancel it first.")

    def follow(self, run: Run) -> Run:
        """Report the progress of a run, merge its result and report its end; return it."""
        self.running = run
        self._notify(RunStarted(run))
        run.on_progress(lambda progress: self._dispatch(lambda: self._progressed(run, progress)))
        run._on_outcome(self._merge)
        return run

    def close(self) -> None:
        """Drop the result of a run in progress."""
        self._closed = True

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
                image.model = run.model or ""
            run._settle(State.DONE)
            self._notify(RunFinished(run))
        else:
            run._settle(State.FAILED, problem)
            self._notify(RunFailed(run, problem))


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
            image.autosave.record_phases(image.phases.to_dict())
    return True
