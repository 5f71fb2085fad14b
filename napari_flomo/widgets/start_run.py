"""Start a segmentation; compute a lazy image first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import Busy, Scope, messages
from napari_flomo.volumes import MissingValues
from napari_flomo.widgets.lazy_image import LazyComputation, wants_computing
from napari_flomo.widgets.navigation import face

if TYPE_CHECKING:
    from napari_flomo.session import Problem
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_state import ViewerState


def segment(
    viewer_state: ViewerState,
    model: str,
    device: str,
    scope: str = "stack",
    *,
    mirrored: bool = False,
) -> None:
    """Start to segment the current image; a lazy one is computed first, in another thread.

    See `Presenter.segment` for the parameters and errors; ``scope`` is a choice of
    `Scope.of_choice`.
    """
    entry = viewer_state.current
    if entry is None:
        raise FlomoError("There is no image to segment; open one, or choose it in the list.")
    check_idle(viewer_state)
    if scope == "slice" and face(viewer_state.viewer, entry.image, viewer_state.order(entry)):
        raise FlomoError(
            f"The slices of {entry.image.name} were seen from the side and are shown now; go to "
            "the one you mean and click Segment again."
        )
    part = Scope.of_choice(scope, viewer_state.position(entry), entry.n_frames)

    def start(volume: Volume | None = None) -> None:
        image = viewer_state.open_image(entry, volume)
        viewer_state.presenter.segment(image.key, model, device, part, mirrored=mirrored)

    def fill() -> None:
        entry.fill_everywhere = True
        viewer_state.attempt(start)

    if wants_computing(entry):
        _compute_first(viewer_state, entry, start)
        return
    try:
        start()
    except MissingValues as missing:
        viewer_state.adapter.ask(messages.missing_values_message(str(missing), fill))


def check_idle(viewer_state: ViewerState) -> None:
    """Raise `Busy` while a lazy image is computed, or the session does something else."""
    if viewer_state.computing is not None:
        name = viewer_state.computing.entry.image.name
        raise Busy(f"{name} is being computed; wait until it is done, or cancel it first.")
    viewer_state.session.check_idle()


def _compute_first(
    viewer_state: ViewerState, entry: ImageLayers, start: Callable[[Volume], None]
) -> None:
    def dispatch(action: Callable[[], None]) -> None:
        viewer_state.in_main_thread(lambda: None if viewer_state.closed else action())

    def done(volume: Volume) -> None:
        viewer_state.set_computing(None)
        viewer_state.attempt(lambda: start(volume))

    def failed(problem: Problem | None) -> None:
        viewer_state.set_computing(None)
        if problem is None:
            viewer_state.post_message(messages.CANCELLED)
        else:
            viewer_state.post_message(problem.sentence, "error", problem.details)

    viewer_state.set_computing(LazyComputation(entry, dispatch, done, failed))
