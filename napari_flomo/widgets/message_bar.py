"""A message with buttons and details in a panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.session import Choice, Message

_COLOURS = {"info": "#4c8bf5", "warning": "#e0a030", "error": "#e05050"}


class MessageBar(QFrame):
    """One message at a time, hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details_button = QPushButton("Details")
        self.details_button.setCheckable(True)
        self.details_button.setToolTip("Show what a bug report needs: versions and where it failed")
        self.close_button = QPushButton("Dismiss")
        self.close_button.setToolTip("Hide this message")
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.details.setMinimumHeight(120)
        self.details.setToolTip("Select and copy this into a bug report")
        self._choices = QHBoxLayout()
        self._choices.addStretch(1)
        self._choices.addWidget(self.details_button)
        self._choices.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.text)
        layout.addWidget(self.details)
        layout.addLayout(self._choices)
        self.buttons: list[QPushButton] = []
        self.details_button.toggled.connect(self.details.setVisible)
        self.close_button.clicked.connect(self.clear)
        self.clear()

    def show_message(
        self,
        text: str,
        *,
        level: str = "info",
        details: str = "",
        choices: Sequence[Choice] = (),
    ) -> None:
        """Show a message in place of the last one; see `Message` for the parameters."""
        self._forget_choices()
        self.text.setText(text)
        self.details.setPlainText(details)
        self.details_button.setChecked(False)
        self.details.setVisible(False)
        self.details_button.setVisible(bool(details))
        for number, (label, action, tip) in enumerate(choices):
            button = QPushButton(label)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, act=action: self._choose(act))
            self._choices.insertWidget(number, button)
            self.buttons.append(button)
        self.setStyleSheet(f"MessageBar {{ border-left: 4px solid {_COLOURS[level]}; }}")
        self.setVisible(True)

    def display(self, message: Message) -> None:
        """Show a message of the session."""
        self.show_message(
            message.text, level=message.level, details=message.details, choices=message.choices
        )

    def clear(self) -> None:
        """Hide the message."""
        self._forget_choices()
        self.text.clear()
        self.details.setVisible(False)
        self.setVisible(False)

    def _choose(self, action: Callable[[], object]) -> None:
        self.clear()
        action()

    def _forget_choices(self) -> None:
        for button in self.buttons:
            self._choices.removeWidget(button)
            button.hide()  # now; it is deleted when Qt comes to it
            button.deleteLater()
        self.buttons = []
