"""A table of the slices in the order of uncertainty."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_flomo.session import Review, SliceIndex, SliceState, messages

_STATE_COLOURS = {
    SliceState.OPEN: None,
    SliceState.SEEN: "#4c8bf5",
    SliceState.ACCEPTED: "#3fa45b",
}


class ReviewList(QTableWidget):
    """One row for each segmented slice, the most uncertain first."""

    chosen = Signal(object)
    """A `SliceIndex` was clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(messages.REVIEW_COLUMNS), parent)
        for column, (title, tip) in enumerate(messages.REVIEW_COLUMNS):
            item = QTableWidgetItem(title)
            item.setToolTip(tip)
            self.setHorizontalHeaderItem(column, item)
        self.setToolTip("Slices, the most uncertain first; click one to go there")
        self.verticalHeader().setVisible(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)  # a long title
        header.setHighlightSections(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.cellClicked.connect(lambda row, _column: self.chosen.emit(self.slices[row]))
        self.slices: tuple[SliceIndex, ...] = ()

    def show_review(self, review: Review | None, moving: bool) -> None:
        """Show a review; ``moving`` where there are frames to be named."""
        self.slices = () if review is None else review.order
        self.setRowCount(len(self.slices))
        for row, index in enumerate(self.slices):
            assert review is not None
            colour = _STATE_COLOURS[review.state(index)]
            for column, text in enumerate(messages.review_row(review, index, moving)):
                item = self.item(row, column) or _new_item(self, row, column)
                item.setText(text)
                if column == 2:
                    item.setData(Qt.ItemDataRole.ForegroundRole, QColor(colour) if colour else None)

    def mark(self, index: SliceIndex | None) -> None:
        """Select the row of the slice that is on the screen."""
        if index in self.slices:
            row = self.slices.index(index)
            if row != self.currentRow():
                self.setCurrentCell(row, 0)
        else:
            self.clearSelection()
            self.setCurrentCell(-1, -1)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Leave letters to the viewer's shortcuts; Qt would search the table for them."""
        if event.text() and event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.ignore()
            return
        super().keyPressEvent(event)
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.currentRow() >= 0:
            self.chosen.emit(self.slices[self.currentRow()])


def _new_item(table: QTableWidget, row: int, column: int) -> QTableWidgetItem:
    item = QTableWidgetItem()
    if column in (0, 1, 3):
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    table.setItem(row, column, item)
    return item
