"""How the result of a run comes into its image: merged aside, put in place in the viewer's thread.

Merging a long cine takes some tenths of a second, in which a window would not answer.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from functools import partial

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Job, Problem
from napari_flomo.session import editing, results
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.runs import Run

TRIES = 3
"""Who paints all the time makes every merge stale; after this many it is done while they wait."""

Dispatch = Callable[[Callable[[], None]], None]


class Arrivals:
    """Takes in what runs bring.

    Parameters
    ----------
    dispatch
        Hands a function over to the viewer's thread, see `Session`.
    image_of
        Returns an open image, None if it is not open any more.
    ended
        Called in the viewer's thread with a run, its job, and what kept the result from being taken
        in (None where nothing did).
    """

    def __init__(
        self,
        dispatch: Dispatch,
        image_of: Callable[[str], OpenImage | None],
        ended: Callable[[Run, Job, Problem | None], None],
    ) -> None:
        self._dispatch = dispatch
        self._image_of = image_of
        self._ended = ended

    def arrived(self, run: Run, job: Job, tries: int = 1) -> None:
        """Merge what a job brought; called in a thread that is not the viewer's."""
        found = None
        image = None if run.key is None else self._image_of(run.key)
        if image is not None and job.problem is None and not job.cancelling:
            found = _merged(image, run, job)
        self._dispatch(lambda: self._put(run, job, found, tries))

    def _put(self, run: Run, job: Job, found: results.Merged | Problem | None, tries: int) -> None:
        """Put it in place, unless the image was painted on in the meantime."""
        problem = found if isinstance(found, Problem) else job.problem
        image = None if run.key is None else self._image_of(run.key)
        if (
            isinstance(found, results.Merged)
            and image is not None
            and not job.cancelling
            and not _put(image, found)
        ):
            if tries < TRIES:
                again = partial(self.arrived, run, job, tries + 1)
                threading.Thread(target=again, daemon=True).start()
                return
            problem = _merged_now(image, run, job)
        self._ended(run, job, problem)


def _merged(image: OpenImage, run: Run, job: Job) -> results.Merged | Problem:
    """Merge, or say what keeps it from being merged."""
    assert run.scope is not None
    merge = results.merged_maps if run.only_maps else results.merged
    try:
        merged = merge(image, job.result(0), run.scope)
        _ = image.hash  # is asked for next, and takes a moment
        return merged
    except FlomoError as error:
        return Problem(str(error), kind="flomo")
    except Exception as error:  # the run must end, and the image is as it was
        details = "".join(traceback.format_exception(error))
        return Problem(f"Unexpected {type(error).__name__}; report the details.", details)


def _merged_now(image: OpenImage, run: Run, job: Job) -> Problem | None:
    """Merge and put in place while everybody waits."""
    found = _merged(image, run, job)
    if isinstance(found, Problem):
        return found
    _put(image, found)
    return None


def _put(image: OpenImage, new: results.Merged) -> bool:
    """Put a merged result in its image and record what it changed; see `results.put`."""
    if not results.put(image, new):
        return False
    before = new.basis[1]
    if before is not None and new.labels is not None:
        editing.record_difference(image, before)
    return True
