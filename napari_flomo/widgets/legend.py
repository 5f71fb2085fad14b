"""A legend of the uncertainty layer: its colours, and what is hidden."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_flomo.widgets.overlay import colours


class Legend(QWidget):
    """Colours from 0 to the largest uncertainty, hatched where the threshold hides them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.threshold = 0.0
        self.largest = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Colours of the uncertainty layer; what is hatched is hidden")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that Qt asks for."""
        return QSize(220, 20 + self.fontMetrics().height())

    def set_threshold(self, threshold: float) -> None:
        """Show another threshold."""
        self.threshold = threshold
        self.update()

    def set_largest(self, largest: float) -> None:
        """Show where the colours end."""
        self.largest = largest
        self.update()

    @property
    def texts(self) -> tuple[str, str]:
        """Texts below the two ends of the strip."""
        end = "1 uncertain" if self.largest == 1 else f"most in this image {self.largest:.2g}"
        return "0 certain", end

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw strip, hatching and numbers."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        strip = QRectF(6, 3, self.width() - 12, 13)
        table = (colours(0)[:, :3] * 255).astype("uint8")
        image = QImage(table.tobytes(), len(table), 1, 3 * len(table), QImage.Format.Format_RGB888)
        painter.drawImage(strip, image)
        edge = strip.left() + self.threshold * strip.width()
        hidden = QRectF(strip.left(), strip.top(), edge - strip.left(), strip.height())
        painter.fillRect(hidden, QColor(60, 60, 60, 170))
        painter.fillRect(hidden, Qt.BrushStyle.BDiagPattern)
        text = self.palette().windowText().color()
        painter.setPen(QPen(text, 2))
        painter.drawLine(int(edge), 1, int(edge), int(strip.bottom()) + 3)
        below = QRectF(6, 18, self.width() - 12, self.fontMetrics().height())
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        for side, words in zip((left, right), self.texts, strict=True):
            painter.drawText(below, side | Qt.AlignmentFlag.AlignTop, words)
