"""Base class and small parts of the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.session import Choice, messages
from napari_flomo.widgets.delayed import delayed
from napari_flomo.widgets.docking import dock_of
from napari_flomo.widgets.fitting import FittingArea, controls, fit_columns, longest_word
from napari_flomo.widgets.forms import align_labels
from napari_flomo.widgets.message_bar import MessageBar

if TYPE_CHECKING:
    from napari_flomo.progress import Progress
    from napari_flomo.session import Message, Run
    from napari_flomo.widgets.viewer_state import ViewerState

EARLIER_TRAINING = "earlier training"
"""Kind of the message that announces one; it goes when the Learn panel is shown."""
WIDTH = 280
"""Width of a panel at first, in pixels; it can be made narrower."""


class Panel(QWidget):
    """A panel of the plugin, with a message at the top.

    The viewer state is closed with the window, not with the panel.

    Attributes
    ----------
    name
        Name in the manifest: of the menu entry and the tab.
    """

    name: ClassVar[str]

    def __init__(self, viewer_state: ViewerState) -> None:
        super().__init__()
        self.viewer_state = viewer_state
        self._dock: QWidget | None = None
        self._tab_order: list[QWidget] = []
        self._order_tabs_later = delayed(self, 0, self._order_tabs)
        self._restyle_later = delayed(self, 0, self._restyle)
        self._arrange_later = delayed(self, 0, self._arrange_dock)
        self.message = MessageBar(viewer_state.board.dismiss)
        viewer_state.message_changed.connect(self._show_message)
        self._show_message(viewer_state.board.shown)

    def attempt(self, action: Callable[[], object]) -> None:
        """Call ``action``; show the message of a `FlomoError`."""
        self.viewer_state.attempt(action)

    def showEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Align the forms; end with the window that the panel is in."""
        super().showEvent(event)
        self._restyle()
        self._restyle_later.start()  # widgets inside may get another font only when they are shown
        self.viewer_state.close_with(self.window())
        if self._dock is not (dock := dock_of(self)):
            self._dock = dock
            self._arrange_later.start()  # napari adds the dock to the window after this

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width at which the image keeps most of the window."""
        return QSize(WIDTH, super().sizeHint().height())

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Use the font of napari's labels for tables and plots, too; napari leaves theirs alone."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._restyle_later.start()  # once the widgets inside have their new style, too

    def fill(self, layout: QVBoxLayout) -> None:
        """Fill the panel: the message stays at the top, what is below can be scrolled."""
        inside = QWidget()
        inside.setLayout(layout)
        layout.setContentsMargins(4, 0, 4, 4)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.message)
        area = FittingArea(inside)
        area.fitted.connect(self._order_tabs_later.start)
        outer.addWidget(area)

    def open(self, name: str, _clicked: bool = False) -> Any:
        """Open another panel of this plugin, or bring it to the front, and return it."""
        return self.viewer_state.docks.open(self.viewer_state.viewer, name)

    def _show_message(self, message: Message | None) -> None:
        missing = message is not None and message.kind == "missing_model"
        self.message.display(message, (self._models_choice(),) if missing else ())
        self._order_tabs_later.start()

    def _models_choice(self) -> Choice:
        tip = "Download the model, or choose another"
        return Choice("Models…", partial(self.open, "Models"), tip)

    def _order_tabs(self) -> None:
        """Let Tab go through the panel from top to bottom, also where controls were added later."""
        order = list(controls(self))
        if order != self._tab_order:
            self._tab_order = order
            for one, following in pairwise(order):
                QWidget.setTabOrder(one, following)

    def _restyle(self) -> None:
        self.setFont(self.message.close_button.font())
        align_labels(self)

    def _arrange_dock(self) -> None:
        if not self.viewer_state.closed:
            self.viewer_state.docks.arrange(self.viewer_state.viewer, self.name, self)


class ProgressBar(QProgressBar):
    """Shows how far a run is."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(messages.PROGRESS_TIP)
        self.setAccessibleName("Progress")

    def show_run(self, run: Run, before: int) -> None:
        """Show a run that has started, or how many come before it."""
        self.show_progress(run.progress)
        if before:
            self.setRange(0, 1)
            self.setFormat(messages.place_text(before))

    def show_progress(self, progress: Progress) -> None:
        """Show how far a run is, and about how long it will take."""
        self.setRange(0, progress.total)
        self.setValue(progress.done)
        self.setFormat(messages.progress_text(progress))


class TextTable(QTableWidget):
    """A table to read, whose long texts are broken into lines where there is little room.

    Parameters
    ----------
    columns
        Titles and tooltips.
    wrapped
        Columns with long texts.
    name
        What a screen reader calls the table.
    """

    def __init__(
        self, columns: Sequence[tuple[str, str]], wrapped: Sequence[int], name: str
    ) -> None:
        super().__init__(0, len(columns))
        self._wrapped = wrapped
        for column, (title, tip) in enumerate(columns):
            item = QTableWidgetItem(title)
            item.setToolTip(tip)
            self.setHorizontalHeaderItem(column, item)
        self.setAccessibleName(name)
        self.setTabKeyNavigation(False)  # Tab goes to the next control
        self.verticalHeader().setVisible(False)
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)

    def fit(self) -> None:
        """Fit the columns into the present width; call this when the texts have changed."""
        fit_columns(self, {column: longest_word(self, column) for column in self._wrapped})
        self.resizeRowsToContents()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the columns into the new width."""
        super().resizeEvent(event)
        self.fit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the columns to another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.fit()


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
