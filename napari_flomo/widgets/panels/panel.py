"""Base class and small parts of the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize
from qtpy.QtWidgets import (
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages
from napari_flomo.widgets.fitting import FittingArea
from napari_flomo.widgets.forms import align_labels
from napari_flomo.widgets.message_bar import MessageBar

if TYPE_CHECKING:
    from napari_flomo.progress import Progress
    from napari_flomo.widgets.viewer_state import ViewerState

PLUGIN = "napari-flomo"
WIDTH = 280
"""Width of a panel at first, in pixels; it can be made narrower."""


class Panel(QWidget):
    """A panel of the plugin, with a message at the top.

    The viewer state is closed with the window, not with the panel.
    """

    def __init__(self, viewer_state: ViewerState) -> None:
        super().__init__()
        self.viewer_state = viewer_state
        self.message = MessageBar()

    def attempt(self, action: Callable[[], object]) -> None:
        """Call ``action``; show the message of a `FlomoError`."""
        try:
            action()
        except FlomoError as error:
            self.message.show_message(str(error), level="warning")

    def showEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Align the forms; end with the window that the panel is in."""
        super().showEvent(event)
        align_labels(self)
        self.viewer_state.close_with(self.window())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width at which the image keeps most of the window."""
        return QSize(WIDTH, super().sizeHint().height())

    def fill(self, layout: QVBoxLayout) -> None:
        """Fill the panel: the message stays at the top, what is below can be scrolled."""
        inside = QWidget()
        inside.setLayout(layout)
        layout.setContentsMargins(4, 0, 4, 4)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.message)
        outer.addWidget(FittingArea(inside))

    def open(self, name: str, _clicked: bool = False) -> Any:
        """Open another panel of this plugin, or bring it to the front, and return it."""
        window = self.viewer_state.viewer.window
        dock, panel = window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        dock.show()
        dock.raise_()
        return panel


class ProgressBar(QProgressBar):
    """Shows how far a run is."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(messages.PROGRESS_TIP)

    def show_progress(self, progress: Progress) -> None:
        """Show how far a run is, and about how long it will take."""
        self.setRange(0, progress.total)
        self.setValue(progress.done)
        self.setFormat(messages.progress_text(progress))


def show_columns(table: QTableWidget, columns: Sequence[tuple[str, str]]) -> None:
    """Set up a read-only table with titles and tooltips of its columns."""
    table.setColumnCount(len(columns))
    for column, (title, tip) in enumerate(columns):
        item = QTableWidgetItem(title)
        item.setToolTip(tip)
        table.setHorizontalHeaderItem(column, item)
    table.verticalHeader().setVisible(False)
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)


def note(tip: str) -> QLabel:
    """Return a line of text for a panel, empty at first."""
    label = QLabel()
    label.setWordWrap(True)
    label.setToolTip(tip)
    label.setContentsMargins(0, 0, 0, 6)
    return label


def button(text: str, tip: str, action: Callable[[], Any]) -> QPushButton:
    """Return a button with its tooltip; a click calls ``action``."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.clicked.connect(lambda _checked=False: action())
    return made
