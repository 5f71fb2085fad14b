"""Volumes over the frames of a cine; a click goes to a frame, and ED and ES can be dragged."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_flomo.measures import VolumeCurve
from napari_flomo.session import Mark, OpenImage, VolumeChart, cine_messages

_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
"""Of the curves, so that they differ without colours, too."""


class VolumePlot(QWidget):
    """A curve for each part of the heart, with marks for end diastole and end systole."""

    clicked = Signal(int)
    """A frame was clicked, counted from 0."""
    dragged = Signal(str, object, int)
    """A mark was dragged: its phase, its ventricles, and the frame."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(cine_messages.CURVE_TIP)
        self.setAccessibleName(cine_messages.CURVE_TIP)
        self._chart = VolumeChart()

    @property
    def chart(self) -> VolumeChart:
        """The curves in the present size of the widget."""
        self._chart.resize(self.width(), self.height(), self._band)
        return self._chart

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that Qt asks for."""
        return QSize(240, 74 + 2 * self._band)

    def show_curves(self, image: OpenImage, curves: Sequence[VolumeCurve], current: int) -> None:
        """Show the curves and phases of an image, and mark the frame on the screen."""
        self._chart.show(image, curves, current)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the curves, the marks, the jumps and the frame on the screen."""
        chart = self.chart
        if not chart.curves:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box, text = QRectF(*chart.box), self.palette().windowText().color()
        painter.setPen(QPen(text, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        below = QRectF(box.left(), box.bottom() + 2, box.width(), self._band - 2)
        sides = (
            Qt.AlignmentFlag.AlignLeft,
            Qt.AlignmentFlag.AlignHCenter,
            Qt.AlignmentFlag.AlignRight,
        )
        for side, words in zip(sides, chart.texts, strict=True):
            painter.drawText(below, side, words)
        self._draw_line(painter, chart.current, QPen(text, 1.5))
        for curve, style in zip(chart.curves, _STYLES, strict=False):
            self._draw_curve(painter, curve, style)
        for mark in chart.marks:
            self._draw_mark(painter, mark)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Take a mark, or emit which frame was clicked."""
        if not self._chart.curves or event.button() != Qt.MouseButton.LeftButton:
            return
        frame = self.chart.press(event.position().x(), event.position().y())
        if frame is not None:
            self.clicked.emit(frame)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Move the mark that was taken."""
        if self.chart.move(event.position().x()):
            self.update()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Emit where a mark was dragged; a mark that was only clicked shows its frame."""
        released = self.chart.release()
        if released is None:
            return
        mark, frame = released
        if frame == mark.frame:
            self.clicked.emit(frame)
        else:
            self.dragged.emit(mark.phase, mark.sides, frame)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Go to the frame before or after by the arrow keys."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None or not self._chart.curves:
            event.ignore()
            return
        self.clicked.emit(self._chart.beside(step))

    def event(self, event: QEvent) -> bool:
        """Show the volumes of the frame under the mouse as a tooltip."""
        if isinstance(event, QHelpEvent) and self._chart.curves:
            QToolTip.showText(event.globalPos(), self.chart.text_at(event.pos().x()), self)
            return True
        return bool(super().event(event))

    @property
    def _band(self) -> int:
        """Height of the texts above and below the curves."""
        return self.fontMetrics().height() + 4

    def _draw_line(self, painter: QPainter, frame: int, pen: QPen) -> None:
        box, x = QRectF(*self._chart.box), self._chart.x_of(frame)
        painter.setPen(pen)
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))

    def _draw_curve(self, painter: QPainter, curve: VolumeCurve, style: Qt.PenStyle) -> None:
        chart, text = self._chart, self.palette().windowText().color()
        line = QPolygonF([QPointF(*point) for point in chart.line(curve)])
        edge = QColor(text)
        edge.setAlpha(110)  # yellow is hard to see on a light theme, blue on a dark one
        for pen in (QPen(edge, 3.5, style), QPen(QColor(chart.colours[curve.code]), 2, style)):
            painter.setPen(pen)
            painter.drawPolyline(line)
        painter.setPen(QPen(text, 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for frame in curve.jumps:
            painter.drawEllipse(QPointF(*chart.point(curve, frame)), 5, 5)

    def _draw_mark(self, painter: QPainter, mark: Mark) -> None:
        chart, text = self._chart, self.palette().windowText().color()
        self._draw_line(painter, chart.frame_of(mark), QPen(text, 1, Qt.PenStyle.DashLine))
        tag = QRectF(*chart.tag(mark, painter.fontMetrics().horizontalAdvance(mark.title)))
        filled = chart.is_filled(mark)
        painter.setPen(QPen(text, 1))
        painter.setBrush(text if filled else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(tag, 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if filled:
            painter.setPen(self.palette().window().color())
        painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, mark.title)
