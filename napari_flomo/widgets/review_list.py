"""A table of the slices in the order of uncertainty."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QModelIndex, QPersistentModelIndex, Qt, Signal
from qtpy.QtGui import QContextMenuEvent, QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_flomo.session import COLUMNS, OpenImage, SliceIndex, SliceState, listed, messages
from napari_flomo.widgets.fitting import CELL_MARGIN, fit_columns, longest_word

_SYMBOLS = {str(SliceState.OPEN): "", str(SliceState.SEEN): "•", str(SliceState.ACCEPTED): "✓"}
"""Signs of the states where there is no room for the words."""

_SLICE, _STATE = 0, 2


class ReviewList(QTableWidget):
    """One row for each slice that the user reviews."""

    chosen = Signal(object)
    """A `SliceIndex` was clicked."""
    menu_wanted = Signal(object, object)
    """A menu was requested for a `SliceIndex`, at a point of the screen."""
    sort_wanted = Signal(str)
    """The title of one of `COLUMNS` was clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(messages.REVIEW_COLUMNS), parent)
        for column, (title, tip) in enumerate(messages.REVIEW_COLUMNS):
            item = QTableWidgetItem(title)
            item.setToolTip(tip)
            self.setHorizontalHeaderItem(column, item)
        self.setToolTip(messages.REVIEW_TIP)
        self.setAccessibleName("Slices to review")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setItemDelegateForColumn(_STATE, _ShortState(self))
        self.verticalHeader().setVisible(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(CELL_MARGIN)
        header.setHighlightSections(False)
        header.setTextElideMode(Qt.TextElideMode.ElideRight)
        header.setSectionsClickable(True)
        header.sectionClicked.connect(lambda column: self.sort_wanted.emit(COLUMNS[column]))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab goes to the next control
        self.cellClicked.connect(lambda row, _column: self.chosen.emit(self.slices[row]))
        self.slices: tuple[SliceIndex, ...] = ()
        self._shown: tuple[object, ...] = ()
        self._progress: list[tuple[SliceState, int]] = []

    def show_review(self, image: OpenImage | None) -> None:
        """Show the review of an image."""
        review = None if image is None else image.review
        moving = image is not None and "frames" in image.volume.axes
        before, self.slices = self.slices, () if image is None else listed(image)
        if self._shown != (review, moving, self.slices):
            self._shown, self._progress = (review, moving, self.slices), []
        self.setRowCount(len(self.slices))
        progress = [] if review is None else review.progress(self.slices)
        known, self._progress = self._progress, progress
        for row, index in enumerate(self.slices):
            assert review is not None
            if row < len(known) and known[row] == progress[row]:
                continue  # a cine has hundreds of rows, and a step changes one or two
            accepted = progress[row][0] is SliceState.ACCEPTED
            for column, text in enumerate(messages.review_row(review, index, moving)):
                item = self.item(row, column) or _new_item(self, row, column)
                item.setText(text)
                if column == _STATE:
                    item.setToolTip(text)
                    font = item.font()
                    font.setBold(accepted)
                    item.setFont(font)
        if image is not None:
            self._show_order(image)
        if self.slices != before:
            self._fit_columns()

    def mark(self, index: SliceIndex | None) -> None:
        """Select the row of the slice that is on the screen."""
        if index in self.slices:
            row = self.slices.index(index)
            if row != self.currentRow():
                self.setCurrentCell(row, 0)
        else:
            self.clearSelection()
            self.setCurrentCell(-1, -1)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        """Request a menu for the row under the mouse, or by keyboard for the current one."""
        by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        row = self.currentRow() if by_key else self.rowAt(event.pos().y())
        if 0 <= row < len(self.slices):
            self.menu_wanted.emit(self.slices[row], event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Leave letters to the viewer's shortcuts; Qt would search the table for them."""
        if event.text() and event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.ignore()
            return
        super().keyPressEvent(event)
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.currentRow() >= 0:
            self.chosen.emit(self.slices[self.currentRow()])

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the columns into the new width."""
        super().resizeEvent(event)
        self._fit_columns()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the columns to another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_columns()

    def _show_order(self, image: OpenImage) -> None:
        """Show by which column the slices are sorted."""
        header, queue = self.horizontalHeader(), image.queue
        header.setSortIndicatorShown(queue.sort is not None)
        if queue.sort is not None:
            down, up = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder
            header.setSortIndicator(COLUMNS.index(queue.sort), down if queue.descending else up)

    def _fit_columns(self) -> None:
        """Give numbers the width that they need; states and frames get what is left.

        Where that is not enough, states are signs, and slice and frame are on two lines.
        """
        sign = self.fontMetrics().horizontalAdvance("✓") + CELL_MARGIN
        fit_columns(self, {_SLICE: longest_word(self, _SLICE), _STATE: sign})
        lines = 1 if self.columnWidth(_SLICE) >= self.sizeHintForColumn(_SLICE) else 2
        height = lines * self.fontMetrics().lineSpacing() + CELL_MARGIN
        self.verticalHeader().setDefaultSectionSize(height)


class _ShortState(QStyledItemDelegate):
    """Draws a sign in place of a state that does not fit."""

    def initStyleOption(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        width = option.fontMetrics.horizontalAdvance(option.text) + CELL_MARGIN
        if width > option.rect.width() > 0:
            option.text = _SYMBOLS.get(option.text, option.text)


def _new_item(table: QTableWidget, row: int, column: int) -> QTableWidgetItem:
    item = QTableWidgetItem()
    if column != _STATE:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    table.setItem(row, column, item)
    return item
