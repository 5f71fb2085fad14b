"""A row for each structure (colour, name, volume, lock), and the measures of the heart below."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_flomo.session import (
    cine_messages,
    counts_of,
    measure_messages,
    structure_colours,
    unknown_measures,
)
from napari_flomo.widgets import painting

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_flomo.models import Label
    from napari_flomo.session import OpenImage
    from napari_flomo.widgets.viewer_state import ViewerState


class Structures(QWidget):
    """The structures of the current image and their present sizes."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer_state = viewer_state
        self._shown: tuple[object, ...] = ()
        self._layer: Labels | None = None
        self.brushes: dict[int, QPushButton] = {}
        self.sizes: dict[int, QLabel] = {}
        self.locks: dict[int, QCheckBox] = {}
        self._rows = QVBoxLayout()
        self.heart = QLabel()
        self.heart.setWordWrap(True)
        self.heart.setTextFormat(Qt.TextFormat.RichText)
        self.heart.setToolTip(
            "Measured on the current labels. Of a cine, end diastole is the frame in which the "
            "network found the largest left ventricle, end systole the one with the smallest, "
            "unless you set them. How volumes and mass are computed is chosen under Report…"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._rows)
        layout.addWidget(self.heart)

    def refresh(self) -> None:
        """Show the current image; quick enough for every stroke."""
        entry, image = self._viewer_state.current, self._viewer_state.current_image
        card = None if image is None or image.segmentation is None else image.segmentation.card
        labels = () if card is None else card.labels[1:]
        if labels != self._shown:
            self._build(labels)
        self._follow(None if entry is None else entry.labels)
        if entry is None or image is None or image.counts is None:
            self.heart.clear()
            return
        frame = self._viewer_state.position(entry).frame
        counts = counts_of(image, [frame])
        assert counts is not None
        for code, size in self.sizes.items():
            ml, voxels = counts.ml(code, frame), counts.voxels(code, frame)
            size.setText(f"{voxels} voxels" if ml is None else f"{ml:.1f} ml")
            lock = self.locks[code]
            lock.blockSignals(True)
            lock.setChecked(code in image.locked)
            lock.blockSignals(False)
        self.heart.setText(self._heart_text(image))

    def _follow(self, layer: Labels | None) -> None:
        """Follow the label that a layer paints with."""
        if layer is not self._layer:
            if self._layer is not None:
                self._layer.events.selected_label.disconnect(self._show_brush)
            self._layer = layer
            if layer is not None:
                layer.events.selected_label.connect(self._show_brush)
        self._show_brush()

    def _show_brush(self, _event: object = None) -> None:
        selected = None if self._layer is None else self._layer.selected_label
        for code, brush in self.brushes.items():
            brush.setChecked(code == selected)

    def _build(self, labels: tuple) -> None:
        while self._rows.count():
            item = self._rows.takeAt(0)
            item.widget().hide()  # now; it is deleted when Qt comes to it
            item.widget().deleteLater()
        self._shown = labels
        colours = structure_colours(labels)
        self.brushes, self.sizes, self.locks = {}, {}, {}
        for label in labels:
            self._rows.addWidget(self._new_row(label, colours[label.code]))

    def _new_row(self, label: Label, colour: str) -> QWidget:
        """Return the row of a structure: brush, name, size and lock."""
        brush = QPushButton()
        brush.setCheckable(True)
        brush.setFixedSize(22, 22)
        brush.setStyleSheet(
            f"QPushButton {{ background: {colour}; border: 2px solid transparent; }}"
            "QPushButton:checked { border: 2px solid palette(window-text); }"
        )
        brush.setToolTip(f"Paint {label.name}")
        brush.setAccessibleName(f"Paint {label.name}")
        brush.clicked.connect(partial(self._paint_with, label.code))
        name = QLabel(label.name)
        name.setWordWrap(True)
        name.setToolTip(f"Code {label.code} in the label image")
        size = QLabel()
        size.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        size.setToolTip(f"Volume of the {label.name} in the frame on the screen")
        lock = QCheckBox("lock")
        lock.setAccessibleName(f"Lock {label.name}")
        lock.setToolTip(
            f"The {label.name} is locked: neither the brush nor another run changes its voxels"
        )
        lock.toggled.connect(partial(self._lock, label.code))
        self.brushes[label.code], self.sizes[label.code] = brush, size
        self.locks[label.code] = lock
        row, named, sized = QWidget(), QHBoxLayout(), QHBoxLayout()
        whole = QHBoxLayout(row)
        whole.setContentsMargins(0, 0, 0, 0)
        named.addWidget(brush)
        named.addWidget(name, 1)
        sized.addWidget(size, 1)
        sized.addWidget(lock)
        whole.addLayout(named, 1)
        whole.addLayout(sized)
        return row

    def _paint_with(self, code: int, _checked: bool = False) -> None:
        painting.paint_with(self._viewer_state, code)
        self.refresh()

    def _lock(self, code: int, locked: bool) -> None:
        state, key = self._viewer_state, self._viewer_state.key
        if key is not None:
            state.attempt(lambda: state.session.lock(key, code, locked))

    def _heart_text(self, image: OpenImage) -> str:
        heart = self._viewer_state.session.measures(image.key)
        if heart is None or image.segmentation is None:
            return ""
        unknown = unknown_measures(image)
        lines = [*cine_messages.heart_lines(heart), *([unknown] if unknown else [])]
        text, ventricles = "<br>".join(lines), (heart.left, heart.right)
        known = any(one is not None and one.ef_percent is not None for one in ventricles)
        limits = measure_messages.agreement_text(image.segmentation.card) if known else ""
        return f"{text}<br><small>{limits}</small>" if limits else text
