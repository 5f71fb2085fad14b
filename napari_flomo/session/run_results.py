"""Merge the result of a run with its image: computed in a thread, put in place in the viewer's.

Merging a long cine takes some tenths of a second, in which a window would not respond.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from napari_flomo.errors import Problem, describe
from napari_flomo.jobs import State
from napari_flomo.session import editing, results
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.runs import Outcome, Run

MAX_ATTEMPTS = 3
"""Painting meanwhile makes a merge stale; after so many attempts the viewer waits for the merge."""

Dispatch = Callable[[Callable[[], None]], None]


class ResultMerger:
    """Merges the results of runs with their images.

    Parameters
    ----------
    dispatch
        Passes a function on to the viewer's thread, see `Session`.
    image_of
        Returns an open image, or None if it was closed.
    ended
        Called in the viewer's thread with a run, the state that its child ended in, and the problem
        of the child or the merge, or None.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        image_of: Callable[[str], OpenImage | None],
        ended: Callable[[Run, State, Problem | None], None],
    ) -> None:
        self._dispatch = dispatch
        self._image_of = image_of
        self._ended = ended

    def merge(self, run: Run, outcome: Outcome, attempt: int = 1) -> None:
        """Merge the outcome of a run; called in another thread than the viewer's."""
        merged = None
        image = None if run.key is None else self._image_of(run.key)
        if image is not None and outcome.state is State.DONE and not run.cancelling:
            merged = _merged(image, run, outcome)
        self._dispatch(lambda: self._put(run, outcome, merged, attempt))

    def _put(
        self, run: Run, outcome: Outcome, merged: results.Merged | Problem | None, attempt: int
    ) -> None:
        """Put a merged result in place, unless the image was edited meanwhile."""
        problem = merged if isinstance(merged, Problem) else outcome.problem
        image = None if run.key is None else self._image_of(run.key)
        if (
            isinstance(merged, results.Merged)
            and image is not None
            and not run.cancelling
            and not _put(image, merged)
        ):
            if attempt < MAX_ATTEMPTS:
                again = partial(self.merge, run, outcome, attempt + 1)
                threading.Thread(target=again, daemon=True).start()
                return
            merged = _merged(image, run, outcome)
            if isinstance(merged, Problem):
                problem = merged
            else:
                _put(image, merged)
        self._ended(run, outcome.state, problem)


def _merged(image: OpenImage, run: Run, outcome: Outcome) -> results.Merged | Problem:
    """Return the merged result, or why it cannot be merged."""
    assert run.scope is not None
    merge = results.merged_maps if run.only_maps else results.merged
    try:
        merged = merge(image, outcome.result, run.scope)
        _ = image.hash  # cached here; it is needed next and takes a moment
        return merged
    except Exception as error:  # the run must end, and the image stays as it was
        return describe(error)


def _put(image: OpenImage, new: results.Merged) -> bool:
    """Put a merged result in its image and record what it changed; see `results.put`."""
    if not results.put(image, new):
        return False
    before = new.basis[1]
    if before is not None and new.labels is not None:
        editing.record_difference(image, before)
    return True
