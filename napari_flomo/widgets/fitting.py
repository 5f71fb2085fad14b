"""Fit the content of a panel into a narrow dock: rows that are too wide are stacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QHBoxLayout, QLayout, QScrollArea, QTableWidget, QWidget

from napari_flomo.widgets.delayed import delayed

CELL_MARGIN = 10
"""Pixels that the text of a cell needs around it."""


class FittingArea(QScrollArea):
    """Scrolls up and down, and stacks the rows of its content that are too wide.

    Rows are all `QHBoxLayout`. A horizontal scroll bar appears only if the content does not fit
    with these rows stacked.
    """

    fitted = Signal()
    """The rows were fitted into the present width."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes from control to control
        self._fit_later = delayed(self, 0, self.fit)
        self.setWidget(inside)

    def fit(self) -> None:
        """Fit the rows into the present width."""
        bar = self.verticalScrollBar()
        hidden = 0 if bar.isVisible() else bar.sizeHint().width()  # it may appear any time
        stack_rows(self.widget(), self.viewport().width() - hidden)
        self.fitted.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the rows into the new width."""
        if event.size().width() != event.oldSize().width():
            self.fit()
        super().resizeEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Fit the rows again when one of them needs another width."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._fit_later.start()
        return bool(super().eventFilter(watched, event))


def stack_rows(widget: QWidget, width: int) -> None:
    """Stack the rows inside a widget that are too wide for ``width``, and no others."""
    for row in widget.findChildren(QHBoxLayout):
        fits = _needed(row) + _around(row, widget) <= width
        direction = QBoxLayout.Direction.LeftToRight if fits else QBoxLayout.Direction.TopToBottom
        if row.direction() != direction:
            row.setDirection(direction)


def controls(widget: QWidget) -> Iterator[QWidget]:
    """Yield the controls in a widget that Tab reaches, in the order of the layouts."""
    layout = widget.widget().layout() if isinstance(widget, QScrollArea) else widget.layout()
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget
    elif layout is not None:
        yield from _controls_in(layout)


def _controls_in(layout: QLayout) -> Iterator[QWidget]:
    for number in range(layout.count()):
        item = layout.itemAt(number)
        if item is None:
            continue
        if (widget := item.widget()) is not None:
            yield from controls(widget)
        elif (inner := item.layout()) is not None:
            yield from _controls_in(inner)


def fit_columns(table: QTableWidget, least: Mapping[int, int]) -> bool:
    """Give each column of a table the width of its contents, as far as there is room.

    Parameters
    ----------
    table
        The table.
    least
        Columns that may be narrower, and how narrow; the first get room before the others, and the
        last gets what is left.

    Returns
    -------
    bool
        Whether all contents fit.
    """
    header = table.horizontalHeader()
    full = [
        max(header.sectionSizeHint(column), table.sizeHintForColumn(column))
        for column in range(table.columnCount())
    ]
    widths = [min(width, least.get(column, width)) for column, width in enumerate(full)]
    spare = max(table.viewport().width() - sum(widths), 0)
    for column in least:
        more = min(full[column] - widths[column], spare)
        widths[column] += more
        spare -= more
    fits = widths == full
    widths[list(least)[-1]] += spare
    for column, width in enumerate(widths):
        header.resizeSection(column, width)
    return fits


def longest_word(table: QTableWidget, column: int) -> int:
    """Return the width that a column needs to break lines only between words."""
    texts = [item.text() for row in range(table.rowCount()) if (item := table.item(row, column))]
    words = {word for text in texts for word in text.replace("-", "- ").split()}
    metrics = table.fontMetrics()
    return max(map(metrics.horizontalAdvance, words), default=0) + CELL_MARGIN


def _needed(row: QHBoxLayout) -> int:
    """Return the width of a row if nothing in it is stacked, margins included."""
    items = (row.itemAt(number) for number in range(row.count()))
    widths = [item.minimumSize().width() for item in items if item and not item.isEmpty()]
    margins = row.contentsMargins()
    gaps = max(row.spacing(), 0) * max(len(widths) - 1, 0)
    return sum(widths) + gaps + margins.left() + margins.right()


def _around(row: QHBoxLayout, top: QWidget) -> int:
    """Return the width of the margins around a row, up to a widget."""
    total, inner = 0, row.parent()
    while inner is not None:
        margins = inner.contentsMargins()
        total += margins.left() + margins.right()
        if inner is top:
            break
        is_widget = not isinstance(inner, QLayout)
        inner = inner.parentWidget().layout() if is_widget else inner.parent()
    return total
