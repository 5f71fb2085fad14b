"""Start a segmentation; compute a lazy image first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import FOR_REVIEW, NotShown, Scope, messages, visibility_messages
from napari_flomo.volumes import MissingValues
from napari_flomo.widgets.lazy_image import wants_computing
from napari_flomo.widgets.navigation import face
from napari_flomo.widgets.visibility import not_shown, show_slices

if TYPE_CHECKING:
    from napari_flomo.session import Reasons
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_state import ViewerState


SEEN: dict[str, Reasons] = {
    "slice": FOR_REVIEW - {NotShown.LABELS_HIDDEN, NotShown.LABELS_REMOVED},
    "stack": frozenset({NotShown.ALL_FRAMES}),
}
"""Why the slice or the frame that is meant cannot be seen, by scope."""


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
    if not _can_see(viewer_state, entry, SEEN.get(scope, frozenset())):
        return
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


def _can_see(viewer_state: ViewerState, entry: ImageLayers, reasons: Reasons) -> bool:
    """Return True if the part of an image that is meant can be seen; else say why not."""
    viewer, order = viewer_state.viewer, viewer_state.order(entry)
    why = not_shown(viewer, entry, order, reasons)
    if why is not None:
        viewer_state.post(
            visibility_messages.not_shown_message(
                why, entry.image.name, entry.key, lambda: show_slices(viewer, entry, order)
            )
        )
    return why is None
