"""Compute a lazy image (dask) in another thread, so that the window stays responsive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError, Problem, describe
from napari_flomo.widgets.layers import is_lazy

if TYPE_CHECKING:
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.image_layers import ImageLayers


class LazyComputation:
    """Computes the array of one lazy image.

    ``dispatch`` passes a function on to the thread of the window. There ``done`` is called with the
    volume, or ``failed`` with the problem: None after a cancel, or if the image was changed.
    """

    def __init__(
        self,
        entry: ImageLayers,
        dispatch: Callable[[Callable[[], None]], None],
        done: Callable[[Volume], None],
        failed: Callable[[Problem | None], None],
    ) -> None:
        self.entry = entry
        self._dispatch = dispatch
        self._fingerprint = entry.fingerprint()
        self._done = done
        self._failed = failed
        self._ended = False
        threading.Thread(target=self._compute, name="flomo lazy image", daemon=True).start()

    def cancel(self) -> None:
        """Stop waiting; the result of the thread is ignored."""
        self._end(None, None)

    def _compute(self) -> None:
        volume, problem = None, None
        try:
            volume = self.entry.volume()
        except FlomoError as error:
            problem = describe(error)
        except Exception as error:  # a lazy array can run any code
            name, kind = self.entry.image.name, type(error).__name__
            sentence = f"{name} could not be computed ({kind}); see the details."
            problem = Problem(sentence, describe(error).details)
        self._dispatch(lambda: self._end(volume, problem))

    def _end(self, volume: Volume | None, problem: Problem | None) -> None:
        if self._ended:
            return
        self._ended = True
        if volume is not None and self.entry.fingerprint() == self._fingerprint:
            self._done(volume)
        else:
            self._failed(problem)


class LazyQueue:
    """Computes lazy images one after another.

    Parameters
    ----------
    dispatch
        Passes a function on to the thread of the window.
    is_open
        Returns whether an image is still in the window.
    changed
        Called when the computation of an image starts, ends or is to wait.
    failed
        Called with the problem, or with None after a cancel.
    """

    def __init__(
        self,
        dispatch: Callable[[Callable[[], None]], None],
        is_open: Callable[[ImageLayers], bool],
        changed: Callable[[], None],
        failed: Callable[[Problem | None], None],
    ) -> None:
        self._dispatch = dispatch
        self._is_open = is_open
        self._changed = changed
        self._failed = failed
        self._waiting: list[tuple[ImageLayers, Callable[[Volume | None], None]]] = []
        self.computing: LazyComputation | None = None

    @property
    def waiting(self) -> tuple[ImageLayers, ...]:
        """The images that are computed after the present one, the next one first."""
        return tuple(entry for entry, _done in self._waiting if self._is_open(entry))

    def add(self, entry: ImageLayers, done: Callable[[Volume | None], None]) -> None:
        """Compute an image and call ``done`` with it, or with None if it was computed already."""
        self._waiting.append((entry, done))
        self._begin_next()

    def drop(self, entry: ImageLayers) -> None:
        """Do not compute an image that waits."""
        self._waiting = [one for one in self._waiting if one[0] is not entry]
        self._changed()

    def _begin_next(self) -> None:
        while self.computing is None and self._waiting:
            entry, done = self._waiting.pop(0)
            if not self._is_open(entry):
                continue
            if not wants_computing(entry):
                done(None)
                continue
            failed = partial(self._end, self._failed)
            self.computing = LazyComputation(
                entry, self._dispatch, partial(self._end, done), failed
            )
        self._changed()

    def _end(self, report: Callable[[Any], None], result: Volume | Problem | None) -> None:
        self.computing = None
        report(result)
        self._begin_next()


def wants_computing(entry: ImageLayers) -> bool:
    """Return True if an image is lazy and was not computed yet."""
    return (entry.key is None or entry.seen != entry.fingerprint()) and is_lazy(entry.image)
