"""Show and hide the uncertainty of the current image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import FOR_MAP

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState


def show(viewer_state: ViewerState, visible: bool | None = None) -> None:
    """Show or hide the uncertainty, by default the other of the two, or say why it is not seen.

    Raises `FlomoError` if there is none.
    """
    entry = viewer_state.current
    if entry is None or entry.uncertainty is None:
        raise FlomoError("There is no uncertainty to show yet; segment an image first.")
    if viewer_state.presenter.can_see(entry.key, FOR_MAP):
        layer = entry.uncertainty
        layer.visible = not layer.visible if visible is None else visible
