"""Offer edits that a crash left unsaved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState


def offer(viewer_state: ViewerState) -> None:
    """Offer the latest unsaved edits, if there are any; after Discard, the next."""
    message = viewer_state.presenter.unsaved_message()
    if message is None:
        return
    if message.choices:
        restore, discard = message.choices

        def discard_and_offer_next() -> None:
            discard.action()
            offer(viewer_state)

        choices = (restore, discard._replace(action=discard_and_offer_next))
        message = replace(message, choices=choices)
    viewer_state.post(message)
