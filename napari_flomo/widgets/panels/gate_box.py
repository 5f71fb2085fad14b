"""What the gate found of a candidate: verdict, reasons, figures and pictures, before and after."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.session.learning import Judgement
from napari_flomo.widgets.panels.panel import note

_COLUMNS = (
    ("Of", "What was measured"),
    ("Metric", "Dice: overlap, 1 is perfect. HD95: distance of the contours. ECE: how far stated "
     "probability is from truth"),
    ("Before", "The model that is in use"),
    ("After", "The new model"),
    ("Change", "After less before; tooltips give 95 % intervals where patients are enough"),
)  # fmt: skip
_VERDICTS = {"passed": "#3fa45b", "refused": "#e05050"}
_UNDECIDED = "#e0a030"


class GateBox(QWidget):
    """Shows a `Judgement`; decides nothing."""

    turned = Signal()
    """Another picture is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._judgement: Judgement | None = None
        self._number = 0
        self._pixmap = QPixmap()
        self.verdict = note("What the gate says of the new model")
        self.verdict.setTextFormat(Qt.TextFormat.RichText)
        self.reasons = note("Why, with the numbers")
        self.table = QTableWidget(0, len(_COLUMNS))
        for column, (title, tip) in enumerate(_COLUMNS):
            item = QTableWidgetItem(title)
            item.setToolTip(tip)
            self.table.setHorizontalHeaderItem(column, item)
        self.table.setToolTip("The model that is in use and the new one, on the same images")
        self.table.verticalHeader().setVisible(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setMinimumHeight(170)
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        # The picture follows the panel's width; it must not keep the panel from getting narrower.
        self.picture.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.picture.setToolTip("An image that changed much: before, after, and the truth")
        self.title = note("What the picture is of")
        self.back, self.forth = QPushButton("◀"), QPushButton("▶")
        for button, step, tip in (
            (self.back, -1, "The picture before"),
            (self.forth, 1, "The next picture"),
        ):
            button.setFixedWidth(32)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, by=step: self._turn(by))
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addWidget(self.title, 1)
        row.addWidget(self.forth)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.verdict, self.reasons, self.table, self.picture):
            layout.addWidget(widget)
        layout.addLayout(row)

    def show_judgement(self, judgement: Judgement) -> None:
        """Show another judgement."""
        if judgement == self._judgement:
            return
        self._judgement, self._number = judgement, 0
        colour = _VERDICTS.get(judgement.verdict, _UNDECIDED)
        self.verdict.setText(f'<b style="color:{colour}">{judgement.sentence}</b>')
        said = [f"• {reason}" for reason in judgement.reasons]
        said += [f"• {sentence}" for sentence in judgement.left_out]
        self.reasons.setText("\n".join(said))
        self._fill(judgement)
        self._turn(0)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the picture into the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fill(self, judgement: Judgement) -> None:
        rows: list[tuple[str, ...]] = []
        part = ""
        for row in judgement.rows:
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

    def _turn(self, by: int) -> None:
        pictures = () if self._judgement is None else self._judgement.pictures
        for widget in (self.picture, self.title):
            widget.setVisible(bool(pictures))
        for button in (self.back, self.forth):
            button.setVisible(len(pictures) > 1)
        if pictures:
            self._number = (self._number + by) % len(pictures)
            shown = pictures[self._number]
            self._pixmap = QPixmap(str(shown.path))
            self.title.setText(f"{shown.title} ({self._number + 1} of {len(pictures)})")
            self._fit()
            self.turned.emit()

    def _fit(self) -> None:
        if not self._pixmap.isNull():
            width = max(self.width() - 8, 80)
            smooth = Qt.TransformationMode.SmoothTransformation
            self.picture.setPixmap(self._pixmap.scaledToWidth(width, smooth))
