"""Choose the label to paint with, on labels that can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import FOR_LABELS, messages

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState


def paint_with(viewer_state: ViewerState, code: int) -> None:
    """Give the brush a label of the current image, or say why its labels cannot be seen."""
    if _select(viewer_state, code):
        entry = viewer_state.current
        assert entry is not None
        assert entry.labels is not None
        entry.labels.mode = "paint"


def step_label(viewer_state: ViewerState, by: int) -> None:
    """Give the tools the next label of the model, or the one before; the tool stays.

    Raises `FlomoError` if there are no labels, or other labels than those of the image are active.
    """
    entry, image = viewer_state.current, viewer_state.current_image
    if entry is None or entry.labels is None or image is None or image.segmentation is None:
        raise FlomoError("There are no labels to paint with yet; segment an image first.")
    active = viewer_state.viewer.layers.selection.active
    if active is not entry.labels and hasattr(active, "selected_label"):
        raise FlomoError(messages.other_labels_text(active.name, image.name))
    codes = [label.code for label in image.segmentation.card.labels]
    now = entry.labels.selected_label
    at = codes.index(now) if now in codes else 0
    _select(viewer_state, codes[(at + by) % len(codes)])


def _select(viewer_state: ViewerState, code: int) -> bool:
    entry = viewer_state.current
    if entry is None or entry.labels is None:
        return False
    if not viewer_state.presenter.can_see(entry.key, FOR_LABELS):
        return False
    viewer_state.viewer.layers.selection.active = entry.labels
    entry.labels.selected_label = code
    return True
