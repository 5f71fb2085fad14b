"""Compute a lazy image (dask) in another thread, so that the window stays responsive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

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


def wants_computing(entry: ImageLayers) -> bool:
    """Return True if an image is lazy and was not computed yet."""
    return (entry.key is None or entry.seen != entry.fingerprint()) and is_lazy(entry.image)
