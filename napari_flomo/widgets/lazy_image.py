"""Compute a lazy image (dask) in a thread, so that the window stays responsive."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import Problem
from napari_flomo.widgets.layers import is_lazy, volume_of_layer

if TYPE_CHECKING:
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_state import ViewerState


class LazyComputation:
    """Computes one lazy image.

    Attributes
    ----------
    entry
        Whose image it is.
    """

    def __init__(
        self,
        viewer_state: ViewerState,
        entry: ImageLayers,
        done: Callable[[Volume], None],
        failed: Callable[[Problem | None], None],
    ) -> None:
        self.entry = entry
        self._viewer_state = viewer_state
        self._look = entry.look_of_image()
        self._done = done
        self._failed = failed
        self._over = False
        threading.Thread(target=self._compute, name="flomo lazy image", daemon=True).start()

    def cancel(self) -> None:
        """Stop waiting; the result of the thread is dropped."""
        self._end(None, None)

    def _compute(self) -> None:
        volume, problem = None, None
        try:
            volume = volume_of_layer(self.entry.image, self.entry.slice_axis)
        except FlomoError as error:
            problem = Problem(str(error), kind="flomo")
        except Exception as error:  # whatever stands behind the lazy array
            details = "".join(traceback.format_exception(error))
            problem = Problem(
                f"{self.entry.image.name} could not be computed ({type(error).__name__}); "
                "see the details.",
                details,
            )
        self._viewer_state.in_thread(lambda: self._end(volume, problem))

    def _end(self, volume: Volume | None, problem: Problem | None) -> None:
        if self._over or self._viewer_state.closed:
            return
        self._over = True
        if volume is not None and self.entry.look_of_image() == self._look:
            self._done(volume)
        else:
            self._failed(problem)


def wants_computing(entry: ImageLayers) -> bool:
    """Return True if an image is lazy and was not computed yet."""
    return (entry.key is None or entry.seen != entry.look_of_image()) and is_lazy(entry.image)
