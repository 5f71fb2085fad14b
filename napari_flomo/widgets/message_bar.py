"""A message with buttons and details at the top of a panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QFontMetrics, QResizeEvent, QTextOption
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QTextEdit,
    QVBoxLayout,
)

from napari_flomo.session import Choice, Message
from napari_flomo.widgets.fitting import stack_rows

_COLOURS = {"info": "#4c8bf5", "warning": "#e0a030", "error": "#e05050"}
_MOST_LINES = 8
"""A longer text can be scrolled, so that it does not push the panel off the screen."""


class MessageBar(QFrame):
    """One message at a time, hidden while there is none.

    Parameters
    ----------
    dismiss
        Called with the message that the user has read or answered.
    """

    def __init__(self, dismiss: Callable[[Message], object]) -> None:
        super().__init__()
        self._dismiss = dismiss
        self._message: Message | None = None
        self.text = MessageText()
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
        self.details.setAccessibleName("Details of the message")
        self._choices = QHBoxLayout()
        self._choices.addStretch(1)
        self._choices.addWidget(self.details_button)
        self._choices.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.addWidget(self.text)
        layout.addWidget(self.details)
        layout.addLayout(self._choices)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.buttons: list[QPushButton] = []
        self.details_button.toggled.connect(self.details.setVisible)
        self.close_button.clicked.connect(lambda _checked=False: self._answer())
        self.display(None)

    def display(self, message: Message | None, more: Sequence[Choice] = ()) -> None:
        """Show a message in place of the last one, with further choices; None hides it."""
        self._message = message
        self._forget_choices()
        self.setVisible(message is not None)
        self.text.setText("" if message is None else message.text)
        self.details_button.setChecked(False)
        self.details.setVisible(False)
        if message is None:
            return
        self.details.setPlainText(message.details)
        self.details_button.setVisible(bool(message.details))
        for number, (label, action, tip) in enumerate((*message.choices, *more)):
            button = QPushButton(label)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, act=action: self._answer(act))
            self._choices.insertWidget(number, button)
            self.buttons.append(button)
        self.setStyleSheet(f"MessageBar {{ border-left: 4px solid {_COLOURS[message.level]}; }}")
        stack_rows(self, self.width())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Stack the buttons if they do not fit beside each other."""
        super().resizeEvent(event)
        stack_rows(self, self.width())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size that does not widen the panel: the buttons are stacked instead."""
        return QSize(0, super().minimumSizeHint().height())

    def _answer(self, action: Callable[[], object] | None = None) -> None:
        if self._message is not None:
            self._dismiss(self._message)
        if action is not None:
            action()

    def _forget_choices(self) -> None:
        for button in self.buttons:
            self._choices.removeWidget(button)
            button.hide()  # now; it is deleted when Qt comes to it
            button.deleteLater()
        self.buttons = []


class MessageText(QTextEdit):
    """Text that can be selected, also by keyboard, and that breaks long words such as paths."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setTabChangesFocus(True)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setStyleSheet("QTextEdit { background: transparent; }")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Message")
        self.textChanged.connect(self.updateGeometry)

    def text(self) -> str:
        """Return the text."""
        return self.toPlainText()

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show plain text."""
        self.setPlainText(text)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Adapt the height to the lines that the text has now."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size for the whole text, up to a few lines."""
        most = _MOST_LINES * QFontMetrics(self.font()).lineSpacing()
        around = self.height() - self.viewport().height()
        return QSize(240, round(min(self.document().size().height(), most)) + around)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the same height, at any width."""
        return QSize(0, self.sizeHint().height())
