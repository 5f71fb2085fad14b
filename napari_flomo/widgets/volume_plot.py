"""Volumes over the frames of a cine; a click goes to a frame, and ED and ES can be dragged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
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

from napari_flomo.measures import PHASES, SIDES, HeartPhases, Phase, Side, VolumeCurve
from napari_flomo.session import cine_messages

_SIDE = 8
_GRIP = 9.0
"""How near to a mark a mouse takes it, in pixels."""
_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
"""Of the curves, so that they differ without colours, too."""


class Mark(NamedTuple):
    """A phase of one or both ventricles at a frame."""

    phase: Phase
    sides: tuple[Side, ...]
    frame: int
    pinned: bool


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
        self._curves: Sequence[VolumeCurve] = ()
        self._names: Mapping[int, str] = {}
        self._colours: Mapping[int, str] = {}
        self._unit = "ml"
        self._current = 0
        self._drag: tuple[Mark, int] | None = None  # the mark, and the frame under the mouse
        self.marks: tuple[Mark, ...] = ()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that Qt asks for."""
        return QSize(240, 74 + 2 * self._band)

    def show_names(self, names: Mapping[int, str], colours: Mapping[int, str], unit: str) -> None:
        """Set names and colours of the codes, and the unit of the volumes."""
        self._names, self._colours, self._unit = names, colours, unit

    def show_curves(self, curves: Sequence[VolumeCurve], phases: HeartPhases, current: int) -> None:
        """Show curves and phases, and mark the frame on the screen."""
        self._curves, self._current, self.marks = curves, current, marks_of(phases)
        self.update()

    def point(self, curve: VolumeCurve, frame: int) -> QPointF:
        """Return where the volume of a frame is drawn, in pixels."""
        box = self._box()
        largest = max((float(np.nanmax(one.volumes, initial=0)) for one in self._curves), default=0)
        return QPointF(
            self.x_of(frame), box.bottom() - curve.volumes[frame] / (largest or 1) * box.height()
        )

    def x_of(self, frame: int) -> float:
        """Return where a frame is drawn, in pixels."""
        box = self._box()
        return box.left() + frame / max(self._n_frames - 1, 1) * box.width()

    def frame_at(self, x: float) -> int:
        """Return the frame that is drawn nearest to a horizontal position."""
        box = self._box()
        frame = round((x - box.left()) / box.width() * (self._n_frames - 1))
        return min(max(frame, 0), self._n_frames - 1)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the curves, the marks, the jumps and the frame on the screen."""
        if not self._curves:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box, text = self._box(), self.palette().windowText().color()
        painter.setPen(QPen(text, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        below = QRectF(box.left(), box.bottom() + 2, box.width(), self._band - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "frame 1")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(self._n_frames))
        here = cine_messages.HERE.format(self._current + 1)
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, here)
        self._draw_line(painter, self._current, QPen(text, 1.5))
        for curve, style in zip(self._curves, _STYLES, strict=False):
            self._draw_curve(painter, curve, style)
        for mark in self.marks:
            self._draw_mark(painter, mark)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Take a mark, or emit which frame was clicked."""
        if not self._curves or event.button() != Qt.MouseButton.LeftButton:
            return
        x, y = event.position().x(), event.position().y()
        near = [mark for mark in self.marks if abs(self.x_of(mark.frame) - x) <= _GRIP]
        if near and y <= self._band:
            self._drag = (near[-1], near[-1].frame)
        else:
            self.clicked.emit(self.frame_at(x))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Move the mark that was taken."""
        if self._drag is not None:
            self._drag = (self._drag[0], self.frame_at(event.position().x()))
            self.update()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Emit where a mark was dragged; a mark that was only clicked shows its frame."""
        drag, self._drag = self._drag, None
        if drag is None:
            return
        mark, frame = drag
        if frame == mark.frame:
            self.clicked.emit(frame)
        else:
            self.dragged.emit(mark.phase, mark.sides, frame)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Go to the frame before or after by the arrow keys."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None or not self._curves:
            event.ignore()
            return
        self.clicked.emit(min(max(self._current + step, 0), self._n_frames - 1))

    def event(self, event: QEvent) -> bool:
        """Show the volumes of the frame under the mouse as a tooltip."""
        if isinstance(event, QHelpEvent) and self._curves:
            frame = self.frame_at(event.pos().x())
            text = cine_messages.curve_text(self._curves, self._names, frame, self._unit)
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().event(event))

    @property
    def _band(self) -> int:
        """Height of the texts above and below the curves."""
        return self.fontMetrics().height() + 4

    @property
    def _n_frames(self) -> int:
        return len(self._curves[0].volumes) if self._curves else 1

    def _draw_line(self, painter: QPainter, frame: int, pen: QPen) -> None:
        box, x = self._box(), self.x_of(frame)
        painter.setPen(pen)
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))

    def _draw_curve(self, painter: QPainter, curve: VolumeCurve, style: Qt.PenStyle) -> None:
        colour, text = QColor(self._colours[curve.code]), self.palette().windowText().color()
        known = [frame for frame in range(self._n_frames) if np.isfinite(curve.volumes[frame])]
        line = QPolygonF([self.point(curve, frame) for frame in known])
        edge = QColor(text)
        edge.setAlpha(110)  # yellow is hard to see on a light theme, blue on a dark one
        for pen in (QPen(edge, 3.5, style), QPen(colour, 2, style)):
            painter.setPen(pen)
            painter.drawPolyline(line)
        painter.setPen(QPen(text, 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for frame in curve.jumps:
            painter.drawEllipse(self.point(curve, frame), 5, 5)

    def _draw_mark(self, painter: QPainter, mark: Mark) -> None:
        text = self.palette().windowText().color()
        moving = self._drag is not None and self._drag[0] == mark
        frame = self._drag[1] if self._drag is not None and moving else mark.frame
        self._draw_line(painter, frame, QPen(text, 1, Qt.PenStyle.DashLine))
        title = mark.phase + {1: f" {mark.sides[0][0].upper()}"}.get(len(mark.sides), "")
        width = painter.fontMetrics().horizontalAdvance(title) + 8
        left = min(max(self.x_of(frame) - width / 2, 0), self.width() - width)
        tag = QRectF(left, 1, width, self._band - 3)
        painter.setPen(QPen(text, 1))
        painter.setBrush(text if mark.pinned or moving else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(tag, 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if mark.pinned or moving:
            painter.setPen(self.palette().window().color())
        painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, title)

    def _box(self) -> QRectF:
        width, height = self.width() - 2 * _SIDE, self.height() - 2 * self._band
        return QRectF(_SIDE, self._band, max(width, 1), max(height, 1))


def marks_of(phases: HeartPhases) -> tuple[Mark, ...]:
    """Return the marks of all known phases, one for both ventricles where their frames agree."""
    marks = []
    for phase in PHASES:
        frames = [phases.of(side).frame(phase) for side in SIDES]
        pinned = [phase in phases.of(side).pinned for side in SIDES]
        if frames[0] == frames[1] and frames[0] is not None:
            marks.append(Mark(phase, SIDES, frames[0], any(pinned)))
            continue
        marks += [
            Mark(phase, (side,), frame, one)
            for side, frame, one in zip(SIDES, frames, pinned, strict=True)
            if frame is not None
        ]
    return tuple(marks)
