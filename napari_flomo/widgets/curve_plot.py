"""Plot of the training curves: loss, and Dice on the held-out slices."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_flomo.session.learning import CurvePoint

LOSS, DICE = QColor("#e0a030"), QColor("#3fa45b")
_MINIMUM_SPAN = {"loss": 0.1, "dice": 0.02}
"""Smallest range of each axis: noise of a thousandth must not fill the plot."""


class CurvePlot(QWidget):
    """Loss on the left axis, Dice on the right one, over the steps of a training."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Loss on the training slices, and Dice on held-out corrections of other patients; the "
            "dashed line is the model before the training"
        )
        self.setAccessibleName("Training curves")
        self._points: Sequence[CurvePoint] = ()
        self._total = 1

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that Qt asks for."""
        return QSize(240, 110 + 2 * self._text_height)

    def show_points(self, points: Sequence[CurvePoint]) -> None:
        """Show other curves, with points ordered by step."""
        self._points = tuple(points)
        self._total = max((point.step for point in points), default=1) or 1
        self.setAccessibleDescription(_describe(points[-1]) if points else "")
        self.update()

    def curve(self, name: str) -> list[QPointF]:
        """Return the positions of the points of ``"loss"`` or ``"dice"`` in pixels."""
        known = [(point.step, getattr(point, name)) for point in self._points]
        known = [(step, value) for step, value in known if value is not None]
        if not known:
            return []
        low, high = self._range(name)
        box = self._box()
        return [
            QPointF(
                box.left() + step / self._total * box.width(),
                box.bottom() - (value - low) / (high - low) * box.height(),
            )
            for step, value in known
        ]

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw axes, numbers and curves."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box, text = self._box(), self.palette().windowText().color()
        painter.setPen(QPen(text, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        below = QRectF(box.left(), box.bottom() + 2, box.width(), self._text_height)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"step {self._total}")
        for name, colour, side in (("loss", LOSS, "left"), ("dice", DICE, "right")):
            line = self.curve(name)
            if line:
                self._draw(painter, name, line, colour, side)

    def event(self, event: QEvent) -> bool:
        """Show the numbers of the point under the mouse as a tooltip."""
        if isinstance(event, QHelpEvent) and self._points:
            box = self._box()
            step = (event.pos().x() - box.left()) / max(box.width(), 1) * self._total
            point = min(self._points, key=lambda one: abs(one.step - step))
            QToolTip.showText(event.globalPos(), _describe(point), self)
            return True
        return bool(super().event(event))

    def _draw(
        self, painter: QPainter, name: str, line: list[QPointF], colour: QColor, side: str
    ) -> None:
        box, (low, high) = self._box(), self._range(name)
        if name == "dice" and self._points[0].step == 0 and len(line) > 1:
            painter.setPen(QPen(colour, 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(box.left(), line[0].y()), QPointF(box.right(), line[0].y()))
        painter.setPen(QPen(colour, 2))
        painter.drawPolyline(QPolygonF(line))
        painter.setBrush(colour)
        painter.drawEllipse(line[-1], 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        right = side == "right"
        align = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        whole = QRectF(2, 0, self.width() - 4, self.height())
        title = "Dice, held out" if right else "loss"
        painter.drawText(QRectF(2, 0, self.width() - 4, self._text_height), align, title)
        digits = 3 if right else 2
        for value, y in ((high, box.top() - 6), (low, box.bottom() - self._text_height + 6)):
            painter.drawText(
                QRectF(whole.left(), y, whole.width(), self._text_height),
                align,
                f"{value:.{digits}f}",
            )

    def _range(self, name: str) -> tuple[float, float]:
        values = [getattr(point, name) for point in self._points]
        values = [value for value in values if value is not None] or [0.0]
        low, high = min(values), max(values)
        spare = max(_MINIMUM_SPAN[name] - (high - low), 0) / 2
        return low - spare, high + spare

    def _box(self) -> QRectF:
        above, side = self._text_height + 8, self.fontMetrics().horizontalAdvance("0.000") + 6
        width, height = self.width() - 2 * side, self.height() - 2 * above
        return QRectF(side, above, max(width, 1), max(height, 1))

    @property
    def _text_height(self) -> int:
        return self.fontMetrics().height()


def _describe(point: CurvePoint) -> str:
    said = [f"Step {point.step}"]
    said += [] if point.loss is None else [f"loss {point.loss:.3f}"]
    said += [] if point.dice is None else [f"Dice {point.dice:.3f}"]
    return ", ".join(said)
