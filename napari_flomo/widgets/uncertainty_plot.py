"""Bars of uncertainty, one for each slice; a click goes there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_flomo.session import STATE_COLOURS, SliceState

_BARS = {state: QColor(colour) for state, colour in STATE_COLOURS.items()}
_NEVER_SEGMENTED = QColor(128, 128, 128, 60)


class UncertaintyPlot(QWidget):
    """Uncertainty of the slices of one frame, coloured by their state in the review."""

    clicked = Signal(int)
    """A slice was clicked, counted from 0."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Uncertainty of each slice; click a bar, or use arrow keys and Enter")
        self.setAccessibleName("Uncertainty of each slice")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._scores: Sequence[float] = ()
        self._states: Mapping[int, SliceState] = {}
        self._current: int | None = None
        self._chosen: int | None = None  # by keyboard

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that Qt asks for."""
        return QSize(240, 68 + self._text_height)

    @property
    def _text_height(self) -> int:
        return self.fontMetrics().height()

    def show_scores(
        self, scores: Sequence[float], states: Mapping[int, SliceState], current: int | None
    ) -> None:
        """Show scores (NaN: not segmented) and states of slices, and mark the current one."""
        self._scores, self._states = list(scores), dict(states)
        if current != self._current or len(self._scores) <= (self._chosen or 0):
            self._chosen = current
        self._current = current
        self._announce()
        self.update()

    def bar(self, index: int) -> QRectF:
        """Return where the bar of a slice is drawn."""
        count = max(len(self._scores), 1)
        width = (self.width() - 12) / count
        finite = [score for score in self._scores if not math.isnan(score)]
        top = max(finite, default=0) or 1.0
        score = self._scores[index]
        room = self.height() - self._text_height - 10
        height = 0 if math.isnan(score) else max(score / top * room, 2)
        gap = min(2.0, width / 4)
        return QRectF(6 + index * width + gap / 2, 6 + room - height, width - gap, height)

    def slice_at(self, x: float) -> int | None:
        """Return the slice under a horizontal position; the whole column counts, not the bar."""
        if not self._scores or not 6 <= x < self.width() - 6:
            return None
        return min(int((x - 6) / (self.width() - 12) * len(self._scores)), len(self._scores) - 1)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the bars, the mark of the current slice and the ends of the axis."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().windowText().color()
        base = self.height() - self._text_height - 4
        for index, score in enumerate(self._scores):
            box = self.bar(index)
            if math.isnan(score):
                painter.fillRect(QRectF(box.left(), 6, box.width(), base - 6), _NEVER_SEGMENTED)
            else:
                state = self._states.get(index, SliceState.OPEN)
                painter.fillRect(box, _BARS[state])
            if index == self._current:
                painter.setPen(QPen(text, 1.5))
                painter.drawRect(QRectF(box.left() - 1, 4, box.width() + 2, base - 3))
            if index == self._chosen and self.hasFocus():
                painter.setPen(QPen(text, 1.5, Qt.PenStyle.DotLine))
                painter.drawRect(QRectF(box.left() + 2, 7, box.width() - 4, base - 9))
        painter.setPen(QPen(text, 1))
        painter.drawLine(6, base, self.width() - 6, base)
        below = QRectF(6, base + 2, self.width() - 12, self._text_height)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "slice 1")
        if len(self._scores) > 1:
            painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(len(self._scores)))
        if self._current is not None:
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"here: {self._current + 1}")

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Emit which slice was clicked."""
        index = self.slice_at(event.position().x())
        if index is not None:
            self.clicked.emit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Choose a bar with the arrow keys, Home and End, and go to its slice with Enter."""
        last, here = len(self._scores) - 1, self._chosen or 0
        places = {
            Qt.Key.Key_Left: max(here - 1, 0),
            Qt.Key.Key_Right: min(here + 1, last),
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }
        if last >= 0 and event.key() in places:
            self._chosen = places[event.key()]
            self._announce()
            self.update()
        elif self._chosen is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.clicked.emit(self._chosen)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Show the score of the slice under the mouse as a tooltip."""
        if isinstance(event, QHelpEvent):
            index = self.slice_at(event.pos().x())
            if index is not None:
                QToolTip.showText(event.globalPos(), self._describe(index), self)
                return True
        return bool(super().event(event))

    def _announce(self) -> None:
        """Tell screen readers which bar is chosen."""
        known = self._chosen is not None and self._chosen < len(self._scores)
        self.setAccessibleDescription(self._describe(self._chosen) if known else "")

    def _describe(self, index: int | None) -> str:
        assert index is not None
        score, state = self._scores[index], self._states.get(index, SliceState.OPEN)
        if math.isnan(score):
            return f"Slice {index + 1}: not segmented"
        return f"Slice {index + 1}: uncertainty {score:.2f} cm², {state}"
