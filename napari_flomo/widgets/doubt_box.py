"""Controls of the uncertainty layer: which map, from what doubt on, shown or hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QSlider, QWidget

from napari_flomo.widgets import overlay
from napari_flomo.widgets.legend import Legend

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_flomo.widgets.desk import Desk


class DoubtBox(QWidget):
    """Shows and hides doubt; knows the layer only through the desk."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._layer: Image | None = None
        self.visible_box = QCheckBox("Show uncertainty")
        self.visible_box.setToolTip("Show or hide where the network doubts (key U)")
        self.visible_box.toggled.connect(self._show)
        self.map_box = QComboBox()
        self.map_box.setToolTip("Which measure of doubt is shown")
        self.map_box.activated.connect(self._choose_map)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(round(overlay.THRESHOLD * 100))
        self.slider.setToolTip("Show only doubt above this; where the network is surer it is clear")
        self.slider.valueChanged.connect(self._set_threshold)
        self.number = QLabel()
        self.number.setToolTip("The threshold, 0 to 1")
        self.number.setMinimumWidth(34)
        self.legend = Legend()
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.visible_box, self.map_box)
        form.addRow("Only above", row)
        form.addRow("", self.legend)
        self._label_threshold()

    @property
    def threshold(self) -> float:
        """Doubt below this is hidden."""
        return self.slider.value() / 100

    def refresh(self) -> None:
        """Show the current image's maps."""
        entry = self._desk.current
        layer = None if entry is None else entry.doubt
        self.setEnabled(layer is not None)
        if layer is not self._layer:
            if self._layer is not None:
                self._layer.events.visible.disconnect(self._on_visible)
            self._layer = layer
            if layer is not None:
                layer.events.visible.connect(self._on_visible)
                self._set_threshold()
            self._fill_maps()
        self._on_visible()

    def _fill_maps(self) -> None:
        entry = self._desk.current
        image = None if entry is None else self._desk.opened(entry)
        self.map_box.clear()
        if image is None or image.segmentation is None:
            return
        for number, name in enumerate(image.segmentation.uncertainty):
            self.map_box.addItem(overlay.title_of(name), name)
            tip = overlay.EXPLAINED.get(name, "A map of the model's own")
            self.map_box.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)

    def _choose_map(self, _index: int) -> None:
        entry = self._desk.current
        if entry is not None:
            self._desk.show_doubt(entry, str(self.map_box.currentData()))

    def _show(self, visible: bool) -> None:
        if self._layer is not None:
            self._layer.visible = visible

    def _on_visible(self, _event: object = None) -> None:
        self.visible_box.blockSignals(True)
        self.visible_box.setChecked(self._layer is not None and self._layer.visible)
        self.visible_box.blockSignals(False)

    def _set_threshold(self, _value: int = 0) -> None:
        self._label_threshold()
        if self._layer is not None:
            self._layer.colormap = overlay.colormap(self.threshold)

    def _label_threshold(self) -> None:
        self.number.setText(f"{self.threshold:.2f}")
        self.legend.set_threshold(self.threshold)
