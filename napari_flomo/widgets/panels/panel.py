"""Base class and small parts of the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages
from napari_flomo.widgets.forms import align_labels
from napari_flomo.widgets.message_bar import MessageBar

if TYPE_CHECKING:
    from napari_flomo.progress import Progress
    from napari_flomo.widgets.viewer_state import ViewerState

PLUGIN = "napari-flomo"


class Panel(QWidget):
    """A panel of the plugin, with a bar for messages.

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

    def add_scrolled(self, inside: QWidget) -> None:
        """Fill the panel with a widget that can be scrolled up and down."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(_VerticalScrollArea(inside))

    def open(self, name: str, _clicked: bool = False) -> Any:
        """Open another panel of this plugin, or bring it to the front, and return it."""
        window = self.viewer_state.viewer.window
        dock, panel = window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        dock.show()
        dock.raise_()
        return panel


class _VerticalScrollArea(QScrollArea):
    """Scrolls up and down only, and is as wide as its widget needs."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size that cuts nothing off at the sides."""
        size = super().minimumSizeHint()
        frame = self.width() - self.maximumViewportSize().width()
        bar = self.verticalScrollBar().sizeHint().width()
        size.setWidth(self.widget().minimumSizeHint().width() + bar + frame)
        return size

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Adapt the width when the widget inside needs another one."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


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
