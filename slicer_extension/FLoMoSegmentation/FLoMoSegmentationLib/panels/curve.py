"""The volume-time curves of a cine, drawn with Qt's painter.

Slicer's plot nodes would be saved with the scene and be kept up with every stroke, and their charts
have no marks that can be dragged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt

from FLoMoSegmentationLib import compat
from FLoMoSegmentationLib.panels.base import Panel
from napari_flomo.session import Mark, VolumeChart, cine_messages, has_phases

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost
    from napari_flomo.measures import VolumeCurve

_LINES = ("SolidLine", "DashLine", "DotLine")
"""Of the curves, so that they differ without colours, too."""


class CurvePanel(Panel):
    """Draws the curves into a label: a click goes to a frame, and ED and ES can be dragged."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self.chart = VolumeChart()
        ui.volumePlot.setToolTip(cine_messages.CURVE_TIP)
        ui.volumePlot.setAccessibleName(cine_messages.CURVE_TIP)
        self.events = PlotEvents(self)
        ui.volumePlot.installEventFilter(self.events)

    def refresh(self) -> None:
        """Show the curves of the chosen image."""
        current, session = self.host.current, self.host.logic.session
        image = None if current is None else session.image(current.key)
        if current is None or image is None or not has_phases(image):
            self.chart = VolumeChart()
        else:
            self.chart.show(image, session.curves(current.key), current.nodes.frame)
        self.draw()

    def show_frame(self) -> None:
        """Mark the frame on the screen, if it is another one now."""
        current = self.host.current
        frame = None if current is None else current.nodes.frame
        if self.chart.curves and frame not in (None, self.chart.current):
            self.refresh()

    # Actions of the user

    def press(self, x: float, y: float) -> None:
        """Take a mark, or go to the frame that was clicked."""
        if self.chart.curves:
            frame = self.chart.press(x, y)
            if frame is not None:
                self.go_to(frame)

    def move(self, x: float) -> None:
        """Move the mark that was taken; else tell the volumes under the mouse."""
        if self.chart.move(x):
            self.draw()
        elif self.chart.curves:
            self.ui.volumePlot.setToolTip(self.chart.text_at(x))

    def release(self) -> None:
        """Set end diastole or end systole to where its mark was dragged; a click goes there."""
        released = self.chart.release()
        if released is None:
            return
        mark, frame = released
        if frame == mark.frame:
            self.go_to(frame)
        else:
            pin = self.host.logic.presenter.pin_phase
            self.attempt(lambda: pin(self._key, mark.phase, mark.sides, frame))
        self.draw()

    def step(self, by: int) -> bool:
        """Go to a frame by the arrow keys; return True if there are frames."""
        if self.chart.curves:
            self.go_to(self.chart.beside(by))
        return bool(self.chart.curves)

    def go_to(self, frame: int) -> None:
        """Show a frame; the slice stays."""
        self.attempt(lambda: self.host.logic.presenter.go_to_frame(self._key, frame))
        self.show_frame()

    @property
    def _key(self) -> str | None:
        return None if self.host.current is None else self.host.current.key

    # Drawing

    def draw(self) -> None:
        """Draw the curves in the present size of the label."""
        label, ratio = self.ui.volumePlot, compat.pixel_ratio(self.ui.volumePlot)
        width, height = max(int(label.width), 1), max(int(label.height), 1)
        self.chart.resize(width, height, qt.QFontMetrics(label.font).height() + 4)
        pixmap = qt.QPixmap(round(width * ratio), round(height * ratio))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(qt.Qt.transparent)
        if self.chart.curves:
            painter = qt.QPainter(pixmap)
            painter.setFont(label.font)
            painter.setRenderHint(qt.QPainter.Antialiasing)
            self._draw_all(painter)
            painter.end()
        label.setPixmap(pixmap)

    def _draw_all(self, painter: Any) -> None:
        chart, box, text = self.chart, self.chart.box, self._text_colour
        painter.setPen(_pen(text, 1))
        _draw_line(painter, [(box.left, box.bottom), (box.left + box.width, box.bottom)])
        below = qt.QRectF(box.left, box.bottom + 2, box.width, box.top - 2)
        sides = (qt.Qt.AlignLeft, qt.Qt.AlignHCenter, qt.Qt.AlignRight)
        for side, words in zip(sides, chart.texts, strict=True):
            painter.drawText(below, side, words)
        self._draw_frame(painter, chart.current, _pen(text, 1.5))
        for curve, line in zip(chart.curves, _LINES, strict=False):
            self._draw_curve(painter, curve, getattr(qt.Qt, line))
        for mark in chart.marks:
            self._draw_mark(painter, mark)

    def _draw_frame(self, painter: Any, frame: int, pen: Any) -> None:
        box, x = self.chart.box, self.chart.x_of(frame)
        painter.setPen(pen)
        _draw_line(painter, [(x, box.top), (x, box.bottom)])

    def _draw_curve(self, painter: Any, curve: VolumeCurve, style: Any) -> None:
        colour, edge = qt.QColor(self.chart.colours[curve.code]), qt.QColor(self._text_colour)
        edge.setAlpha(110)  # yellow is hard to see on a light theme, blue on a dark one
        for pen in (_pen(edge, 3.5, style), _pen(colour, 2, style)):
            painter.setPen(pen)
            _draw_line(painter, self.chart.line(curve))
        painter.setPen(_pen(self._text_colour, 1.5))
        for frame in curve.jumps:
            x, y = self.chart.point(curve, frame)
            painter.drawEllipse(qt.QRectF(x - 5, y - 5, 10, 10))

    def _draw_mark(self, painter: Any, mark: Mark) -> None:
        chart, text = self.chart, self._text_colour
        self._draw_frame(painter, chart.frame_of(mark), _pen(text, 1, qt.Qt.DashLine))
        width = painter.fontMetrics().horizontalAdvance(mark.title)
        tag = qt.QRectF(*chart.tag(mark, width))
        filled = chart.is_filled(mark)
        painter.setPen(_pen(text, 1))
        painter.setBrush(qt.QBrush(text) if filled else qt.QBrush())
        painter.drawRoundedRect(tag, 3, 3)
        painter.setBrush(qt.QBrush())
        if filled:
            painter.setPen(_pen(self.ui.volumePlot.palette.window().color(), 1))
        painter.drawText(tag, qt.Qt.AlignCenter, mark.title)

    @property
    def _text_colour(self) -> Any:
        return self.ui.volumePlot.palette.windowText().color()


class PlotEvents(qt.QWidget):
    """Passes mouse, keys and sizes of the label to its panel."""

    def __init__(self, panel: CurvePanel) -> None:
        qt.QWidget.__init__(self)
        self.panel = panel

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Handle an event; return True if the label is not to get it."""
        kind, panel = event.type(), self.panel
        if kind == qt.QEvent.MouseButtonPress and event.button() == qt.Qt.LeftButton:
            panel.press(event.pos().x(), event.pos().y())
        elif kind == qt.QEvent.MouseMove:
            panel.move(event.pos().x())
        elif kind == qt.QEvent.MouseButtonRelease:
            panel.release()
        elif kind == qt.QEvent.KeyPress and event.key() in (qt.Qt.Key_Left, qt.Qt.Key_Right):
            return panel.step(1 if event.key() == qt.Qt.Key_Right else -1)
        elif kind in (qt.QEvent.Resize, qt.QEvent.PaletteChange, qt.QEvent.FontChange):
            panel.draw()
        return False


def _pen(colour: Any, width: float, style: Any = None) -> Any:
    pen = qt.QPen(colour)
    pen.setWidthF(width)
    if style is not None:
        pen.setStyle(style)
    return pen


def _draw_line(painter: Any, points: list[tuple[float, float]]) -> None:
    path = qt.QPainterPath()
    for number, (x, y) in enumerate(points):
        if number:
            path.lineTo(x, y)
        else:
            path.moveTo(x, y)
    painter.drawPath(path)
