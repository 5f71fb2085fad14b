"""Choose a file with labels that were saved earlier, to continue from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_flomo.errors import FlomoError
from napari_flomo.session import chosen_model, continue_from, study_messages
from napari_flomo.volumes import READABLE

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState


def ask(viewer_state: ViewerState, parent: QWidget | None) -> None:
    """Ask for a file and continue from its labels on the current image."""
    check_image(viewer_state)
    endings = " ".join(f"*{suffix}" for suffix in READABLE)
    title = study_messages.CONTINUE[0].removesuffix("…")
    path, _ = QFileDialog.getOpenFileName(parent, title, "", f"{study_messages.LABELS} ({endings})")
    if path:
        start(viewer_state, Path(path))


def check_image(viewer_state: ViewerState) -> None:
    """Raise `FlomoError` if there is no image."""
    if viewer_state.current is None:
        raise FlomoError(study_messages.NO_IMAGE)


def start(viewer_state: ViewerState, path: Path) -> None:
    """Continue from the labels of a file on the current image.

    Raises `FlomoError` if there is no image, or it cannot be segmented.
    """
    check_image(viewer_state)
    assert viewer_state.current is not None
    image = viewer_state.open_image(viewer_state.current)
    model = chosen_model(viewer_state.preferences.model)
    continue_from(viewer_state.session, viewer_state.adapter, image.key, path, model)
