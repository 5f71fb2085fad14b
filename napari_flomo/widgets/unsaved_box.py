"""A list of the edits that crashes left unsaved, each with its picture, Restore and Discard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.session import (
    Event,
    RestoreEnded,
    RestoreProgressed,
    UnsavedFound,
    UnsavedWork,
    messages,
    unsaved_messages,
)

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState

MOST_ROWS = 2
"""More rows are shown after a click, so that the panel below stays in sight."""


class UnsavedBox(QGroupBox):
    """The list; hidden while there are no unsaved edits."""

    def __init__(self, viewer_state: ViewerState) -> None:
        super().__init__(unsaved_messages.UNSAVED_TITLE)
        self.setToolTip(unsaved_messages.UNSAVED_TIP)
        self._viewer_state = viewer_state
        self.rows: list[UnsavedRow] = []
        self.progress = QProgressBar()
        self.progress.setToolTip(messages.PROGRESS_TIP)
        self.cancel_button = _button(unsaved_messages.STOP_RESTORING, self._cancel)
        self._working = QWidget()
        working = QHBoxLayout(self._working)
        working.setContentsMargins(0, 0, 0, 0)
        working.addWidget(self.progress, 1)
        working.addWidget(self.cancel_button)
        self.all_button = _button(("", unsaved_messages.SHOW_ALL_TIP), self._show_all)
        self._rows = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.addLayout(self._rows)
        layout.addWidget(self.all_button)
        layout.addWidget(self._working)
        self.setVisible(False)
        self._working.setVisible(False)
        viewer_state.session_changed.connect(self._on_event)
        viewer_state.presenter.unsaved.find()

    def show_works(self, works: Sequence[UnsavedWork]) -> None:
        """List unsaved edits."""
        for row in self.rows:
            self._rows.removeWidget(row)
            row.hide()  # now; it is deleted when Qt comes to it
            row.deleteLater()
        unsaved, attempt = self._viewer_state.presenter.unsaved, self._viewer_state.attempt
        self.rows = [
            UnsavedRow(
                work,
                partial(attempt, partial(unsaved.restore, work)),
                partial(unsaved.discard, work),
            )
            for work in works
        ]
        for number, row in enumerate(self.rows):
            self._rows.addWidget(row)
            row.setVisible(number < MOST_ROWS)
        self.all_button.setText(unsaved_messages.SHOW_ALL.format(len(works)))
        self.all_button.setVisible(len(works) > MOST_ROWS)
        self.setVisible(bool(works))

    def _show_all(self) -> None:
        for row in self.rows:
            row.setVisible(True)
        self.all_button.setVisible(False)

    def _cancel(self) -> None:
        restoring = self._viewer_state.presenter.unsaved.restoring
        if restoring is not None:
            self.cancel_button.setEnabled(False)
            restoring.cancel()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, UnsavedFound):
            self.show_works(event.works)
        elif isinstance(event, RestoreProgressed):
            self.progress.setRange(0, event.progress.total)
            self.progress.setValue(event.progress.done)
            self.progress.setFormat(event.progress.message)
            self._show_working(True)
        elif isinstance(event, RestoreEnded):
            self.cancel_button.setEnabled(True)
            self._show_working(False)

    def _show_working(self, working: bool) -> None:
        self._working.setVisible(working)
        for row in self.rows:
            row.setEnabled(not working)


class UnsavedRow(QWidget):
    """The unsaved edits of one image."""

    def __init__(
        self, work: UnsavedWork, restore: Callable[[], object], discard: Callable[[], object]
    ) -> None:
        super().__init__()
        lines = unsaved_messages.unsaved_lines(work.journal)
        self.picture = QLabel()
        pixmap = QPixmap()
        if pixmap.loadFromData(work.picture):
            self.picture.setPixmap(pixmap)
        self.picture.setAccessibleName(unsaved_messages.PICTURE_TIP)
        self.picture.setToolTip(unsaved_messages.PICTURE_TIP)
        self.text = QLabel("\n".join(lines))
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setToolTip(self.text.text())
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.restore_button = _button(unsaved_messages.RESTORE, restore)
        self.discard_button = _button(unsaved_messages.DISCARD, discard)
        buttons = QHBoxLayout()
        for button in (self.restore_button, self.discard_button):
            button.setAccessibleName(f"{button.text()} {', '.join(lines)}")
            buttons.addWidget(button)
        beside = QVBoxLayout()
        beside.setSpacing(4)
        beside.addWidget(self.text)
        beside.addLayout(buttons)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(beside, 1)


def _button(named: tuple[str, str], action: Callable[[], object]) -> QPushButton:
    title, tip = named
    button = QPushButton(title)
    button.setToolTip(tip)
    button.clicked.connect(lambda _checked=False: action())
    return button
