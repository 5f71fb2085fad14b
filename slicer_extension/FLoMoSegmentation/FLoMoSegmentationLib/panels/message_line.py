"""The message that a section shows, with the first choice that it offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_flomo.session import MessageBoard

STYLES = {"info": "", "warning": "color: #b45309", "error": "color: #dc2626"}
"""Style sheet of a message by its level."""


class MessageLine:
    """Shows the message of a board in a label and a button, which are hidden without one."""

    def __init__(self, label: Any, button: Any, board: MessageBoard) -> None:
        self._label = label
        self._button = button
        self._board = board
        button.connect("clicked(bool)", self.on_button)
        board.subscribe(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the message of the board."""
        message = self._board.shown
        offer = None if message is None else next(iter(message.choices), None)
        self._label.setText("" if message is None else message.text)
        self._label.setStyleSheet("" if message is None else STYLES[message.level])
        self._label.setVisible(message is not None)
        self._button.setVisible(offer is not None)
        if offer is not None:
            self._button.setText(offer.title)
            self._button.setToolTip(offer.tip)

    def on_button(self, _checked: bool = False) -> None:
        """Do what the message offers."""
        message = self._board.shown
        if message is not None and message.choices:
            self._board.dismiss(message)
            message.choices[0].action()
