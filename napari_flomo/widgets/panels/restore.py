"""After a crash: offer what was not saved, and bring it back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_flomo.corrections import Leftover, discard, replay, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.session import messages
from napari_flomo.widgets.reading import layer_data

if TYPE_CHECKING:
    from napari_flomo.widgets.messages import MessageBar
    from napari_flomo.widgets.viewer_state import ViewerState


def offer(viewer_state: ViewerState, message: MessageBar) -> None:
    """Offer the latest unsaved corrections, if there are any."""
    try:
        left = unfinished()
    except FlomoError as error:
        viewer_state.say(str(error), "warning")
        return
    if left:
        _offer_one(viewer_state, message, left[0], len(left) - 1)


def bring_back(viewer_state: ViewerState, left: Leftover) -> None:
    """Open an image with its corrected labels as they were after the last stroke.

    Raises
    ------
    FlomoError
        If the edits cannot be read, or its model is not on this computer.
    """
    from napari.layers import Image

    found = replay(left.folder)
    data, arguments, _kind = layer_data(found.image)
    arguments["name"] = "restored image"
    layer = viewer_state.viewer.add_layer(Image(data, **arguments))
    entry = viewer_state.entry_of(layer)
    assert entry is not None
    image = viewer_state.adopt(entry, found.image)
    try:
        viewer_state.session.restore(image.key, found, left.folder)
    except FlomoError:
        viewer_state.viewer.layers.remove(layer)
        raise
    assert image.segmentation is not None
    entry.model = image.segmentation.card.name
    viewer_state.show_result(entry, recalled=True)
    viewer_state.current_changed.emit()
    viewer_state.say(
        f"{messages.restored_text(found)} Uncertainty was not kept: Compute under Uncertainty in "
        "the Review panel brings it back.",
        "warning" if found.lost else "info",
    )


def _offer_one(viewer_state: ViewerState, message: MessageBar, left: Leftover, others: int) -> None:
    def restore() -> None:
        try:
            bring_back(viewer_state, left)
        except FlomoError as error:
            message.show_message(str(error), level="error")

    def throw_away() -> None:
        try:
            discard(left.folder)
        except FlomoError as error:
            message.show_message(str(error), level="error")
        else:
            offer(viewer_state, message)

    message.show_message(
        messages.leftover_text(left, others),
        level="warning",
        choices=[
            ("Restore", partial(restore), "Open the image with the labels after the last stroke"),
            ("Discard", partial(throw_away), "Remove these changes for good"),
        ],
    )
