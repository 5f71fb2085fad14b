"""Start a segmentation; compute a lazy image first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import Scope, messages
from napari_flomo.volumes import MissingValues
from napari_flomo.widgets.lazy_image import wants_computing
from napari_flomo.widgets.navigation import face

if TYPE_CHECKING:
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.viewer_state import ViewerState


def segment(
    viewer_state: ViewerState,
    model: str,
    device: str,
    scope: str = "stack",
    *,
    mirrored: bool = False,
) -> None:
    """Segment the current image; a lazy one is computed first, in another thread.

    See `Presenter.segment` for the parameters and errors; ``scope`` is a choice of
    `Scope.of_choice`.
    """
    entry = viewer_state.current
    if entry is None:
        raise FlomoError("There is no image to segment; open one, or choose it in the list.")
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
        viewer_state.lazy.add(entry, lambda volume: viewer_state.attempt(lambda: start(volume)))
        return
    try:
        start()
    except MissingValues as missing:
        viewer_state.adapter.ask(messages.missing_values_message(str(missing), fill))
