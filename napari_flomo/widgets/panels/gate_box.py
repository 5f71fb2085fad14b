"""Report of the gate: verdict, reasons, table and pictures, before and after."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.session.learning import GateSummary
from napari_flomo.widgets.panels.panel import TextTable, note

_COLUMNS = (
    ("Structure", "Where it was measured"),
    ("Metric", "Dice: overlap, 1 is perfect. HD95: 95th percentile of the contour distance. ECE: "
     "expected calibration error of the probabilities"),
    ("Before", "The model that is in use"),
    ("After", "The new model"),
    ("Change", "After minus before; tooltips show 95 % intervals where there are enough patients"),
)  # fmt: skip
_VERDICT_COLOURS = {"passed": "#3fa45b", "refused": "#e05050"}
_UNDECIDED_COLOUR = "#e0a030"


class GateBox(QWidget):
    """Shows a `GateSummary`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._summary: GateSummary | None = None
        self._number = 0
        self._pixmap = QPixmap()
        self.verdict = note("Verdict of the gate on the new model")
        self.verdict.setTextFormat(Qt.TextFormat.RichText)
        self.reasons = note("Reasons, with the numbers")
        self.table = TextTable(_COLUMNS, wrapped=(0,), name="Figures of the gate")
        self.table.setToolTip("The model in use and the new one, measured on the same images")
        self.table.setMinimumHeight(170)
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        # The picture follows the width of the panel and must not limit it.
        self.picture.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.picture.setToolTip("An image that changed much: before, after, and the truth")
        self.title = note("Image and change of its Dice")
        self.previous_button, self.next_button = QPushButton("◀"), QPushButton("▶")
        for button, step, tip in (
            (self.previous_button, -1, "Previous picture"),
            (self.next_button, 1, "Next picture"),
        ):
            button.setFixedWidth(32)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.clicked.connect(lambda _=False, by=step: self._turn(by))
        row = QHBoxLayout()
        row.addWidget(self.previous_button)
        row.addWidget(self.title, 1)
        row.addWidget(self.next_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.verdict, self.reasons, self.table, self.picture):
            layout.addWidget(widget)
        layout.addLayout(row)

    def show_summary(self, summary: GateSummary) -> None:
        """Show another report."""
        if summary == self._summary:
            return
        self._summary, self._number = summary, 0
        colour = _VERDICT_COLOURS.get(summary.verdict, _UNDECIDED_COLOUR)
        self.verdict.setText(f'<b style="color:{colour}">{summary.sentence}</b>')
        said = [f"• {reason}" for reason in summary.reasons]
        said += [f"• {sentence}" for sentence in summary.left_out]
        self.reasons.setText("\n".join(said))
        self._fill(summary)
        self._turn(0)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the picture into the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fill(self, summary: GateSummary) -> None:
        rows: list[tuple[str, ...]] = []
        part = ""
        for row in summary.rows:
            if row.part != part:
                part = row.part
                rows.append((part,))
            rows.append((row.structure, row.metric, row.before, row.after, row.difference))
        self.table.clearSpans()
        self.table.setRowCount(len(rows))
        for number, texts in enumerate(rows):
            for column in range(len(_COLUMNS)):
                text = texts[column] if column < len(texts) else ""
                item = QTableWidgetItem(text.partition(" (")[0])  # intervals are on the tooltip
                item.setToolTip(text)
                if len(texts) == 1:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.table.setItem(number, column, item)
            if len(texts) == 1:
                self.table.setSpan(number, 0, 1, len(_COLUMNS))
        self.table.fit()

    def _turn(self, by: int) -> None:
        pictures = () if self._summary is None else self._summary.pictures
        for widget in (self.picture, self.title):
            widget.setVisible(bool(pictures))
        for button in (self.previous_button, self.next_button):
            button.setVisible(len(pictures) > 1)
        if pictures:
            self._number = (self._number + by) % len(pictures)
            shown = pictures[self._number]
            self._pixmap = QPixmap(str(shown.path))
            self.title.setText(f"{shown.title} ({self._number + 1} of {len(pictures)})")
            self._fit()

    def _fit(self) -> None:
        if not self._pixmap.isNull():
            width = max(self.width() - 8, 80)
            smooth = Qt.TransformationMode.SmoothTransformation
            self.picture.setPixmap(self._pixmap.scaledToWidth(width, smooth))
