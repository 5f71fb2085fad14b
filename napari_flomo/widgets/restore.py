"""After a crash: offer what was not saved, and bring it back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_flomo.corrections import Leftover, discard, replay, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.session import JournalKeeper, words
from napari_flomo.widgets.journalling import teller
from napari_flomo.widgets.reading import layer_data

if TYPE_CHECKING:
    from napari_flomo.widgets.desk import Desk
    from napari_flomo.widgets.messages import MessageBar


def offer(desk: Desk, message: MessageBar) -> None:
    """Offer the latest unsaved corrections, if there are any."""
    try:
        left = unfinished()
    except FlomoError as error:
        desk.say(str(error), "warning")
        return
    if left:
        _offer_one(desk, message, left[0], len(left) - 1)


def bring_back(desk: Desk, left: Leftover) -> None:
    """Open an image with its corrected labels as they were after the last stroke.

    Raises
    ------
    FlomoError
        If the journal cannot be read, or its model is not on this computer.
    """
    from napari.layers import Image

    found = replay(left.folder)
    data, arguments, _kind = layer_data(found.image)
    arguments["name"] = "restored image"
    layer = desk.viewer.add_layer(Image(data, **arguments))
    entry = desk.entry_of(layer)
    assert entry is not None
    image = desk.adopt(entry, found.image)
    try:
        desk.session.restore(image.key, found)
    except FlomoError:
        desk.viewer.layers.remove(layer)
        raise
    assert image.segmentation is not None
    entry.model = image.segmentation.card.name
    desk.show_result(entry, recalled=True)
    entry.keeper = JournalKeeper.resume(left.folder, teller(desk))
    desk.current_changed.emit()
    desk.say(
        f"{words.restored_text(found)} The uncertainty was not kept: Compute under Uncertainty in "
        "the Review panel brings it back.",
        "warning" if found.lost else "info",
    )


def _offer_one(desk: Desk, message: MessageBar, left: Leftover, others: int) -> None:
    def restore() -> None:
        try:
            bring_back(desk, left)
        except FlomoError as error:
            message.show_message(str(error), level="error")

    def throw_away() -> None:
        try:
            discard(left.folder)
        except FlomoError as error:
            message.show_message(str(error), level="error")
        else:
            offer(desk, message)

    message.show_message(
        words.leftover_text(left, others),
        level="warning",
        choices=[
            ("Restore", partial(restore), "Open the image with the labels after the last stroke"),
            ("Discard", partial(throw_away), "Remove these changes for good"),
        ],
    )
