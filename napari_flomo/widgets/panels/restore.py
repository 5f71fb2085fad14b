"""Offer edits that a crash left unsaved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.session import Choice

if TYPE_CHECKING:
    from napari_flomo.widgets.message_bar import MessageBar
    from napari_flomo.widgets.viewer_state import ViewerState


def offer(viewer_state: ViewerState, bar: MessageBar) -> None:
    """Offer the latest unsaved edits, if there are any; after Discard, the next."""
    message = viewer_state.presenter.unsaved_message()
    if message is None:
        return
    choices = message.choices
    if choices:
        restore, discard = choices

        def discard_and_go_on() -> None:
            discard.action()
            offer(viewer_state, bar)

        choices = (restore, Choice(discard.title, discard_and_go_on, discard.tip))
    bar.show_message(message.text, level=message.level, choices=choices)
