"""Controls of the uncertainty layer: which map, from what uncertainty on, shown or hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSlider,
    QWidget,
)

from napari_flomo.errors import FlomoError
from napari_flomo.session import RunFinished, RunProgressed, uncertainty_maps
from napari_flomo.session.messages import progress_text
from napari_flomo.widgets import overlay, segmenting
from napari_flomo.widgets.legend import Legend

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_flomo.session import Event
    from napari_flomo.widgets.viewer_state import ViewerState


class UncertaintyBox(QWidget):
    """Shows and hides uncertainty; knows the layer only through the viewer_state."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = viewer_state
        self._layer: Image | None = None
        self.visible_box = QCheckBox("Show uncertainty")
        self.visible_box.setToolTip("Show or hide where the network is uncertain (key U)")
        self.visible_box.toggled.connect(self._show)
        self.map_box = QComboBox()
        self.map_box.setToolTip("Which measure of uncertainty is shown")
        self.map_box.activated.connect(self._choose_map)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(round(overlay.THRESHOLD * 100))
        self.slider.setToolTip(
            "Show only uncertainty above this; where the network is surer it is clear"
        )
        self.slider.valueChanged.connect(self._set_threshold)
        self.number = QLabel()
        self.number.setToolTip("The threshold, as a share of the colours")
        self.number.setMinimumWidth(34)
        self.legend = Legend()
        self.offer = QLabel()
        self.offer.setWordWrap(True)
        self.offer.setToolTip("This map is not there yet; the labels do not change with it")
        self.compute_button = QPushButton("Compute")
        self.compute_button.setToolTip("Compute this map; labels and review stay as they are")
        self.compute_button.clicked.connect(self._compute)
        self.progress = QProgressBar()
        self.progress.setToolTip("How far the computation of the map is")
        self._offer_row = QWidget()
        offered = QHBoxLayout(self._offer_row)
        offered.setContentsMargins(0, 0, 0, 0)
        offered.addWidget(self.offer, 1)
        offered.addWidget(self.progress, 1)
        offered.addWidget(self.compute_button)
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.visible_box, self.map_box)
        form.addRow(self._offer_row)
        form.addRow("Only above", row)
        form.addRow("", self.legend)
        self._label_threshold()
        self._show_offer()
        viewer_state.happened.connect(self._on_event)

    @property
    def threshold(self) -> float:
        """Uncertainty below this is hidden."""
        return self.slider.value() / 100

    def refresh(self) -> None:
        """Show the current image's maps."""
        entry = self._desk.current
        layer = None if entry is None else entry.uncertainty
        self.setEnabled(entry is not None and entry.labels is not None)
        self.visible_box.setEnabled(layer is not None)
        if layer is not self._layer:
            if self._layer is not None:
                self._layer.events.visible.disconnect(self._on_visible)
                self._layer.events.contrast_limits.disconnect(self._on_scale)
            self._layer = layer
            if layer is not None:
                layer.events.visible.connect(self._on_visible)
                layer.events.contrast_limits.connect(self._on_scale)
                self._set_threshold()
        self._fill_maps()
        self._show_offer()
        self._on_visible()
        self._on_scale()

    @property
    def _there(self) -> tuple[str, ...]:
        """Names of the maps that the current image has."""
        entry = self._desk.current
        image = None if entry is None else self._desk.opened(entry)
        known = None if image is None else image.segmentation
        return () if known is None else tuple(known.uncertainty)

    def _fill_maps(self) -> None:
        entry = self._desk.current
        image = None if entry is None else self._desk.opened(entry)
        chosen, there = self.map_box.currentData(), self._there
        self.map_box.clear()
        if entry is None or image is None or image.segmentation is None:
            return
        for number, name in enumerate(
            uncertainty_maps.maps_offered(image.segmentation.card.network, there)
        ):
            self.map_box.addItem(uncertainty_maps.entry_of(name, there), name)
            tip = uncertainty_maps.explanation_of(name)
            self.map_box.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        known = self.map_box.findData(entry.map if entry.map in there or not chosen else chosen)
        self.map_box.setCurrentIndex(max(known, 0))

    def _choose_map(self, _index: int) -> None:
        entry, name = self._desk.current, str(self.map_box.currentData())
        if entry is not None and entry.key is not None and name in self._there:
            self._desk.presenter.show_map(entry.key, name)
        self._show_offer()

    def _show_offer(self) -> None:
        """Offer to compute the chosen map, or show how far that is."""
        run, name = self._desk.session.running, self.map_box.currentData()
        running = run is not None and run.only_maps
        self._offer_row.setVisible(running or (name is not None and name not in self._there))
        self.offer.setVisible(not running)
        self.progress.setVisible(running)
        self.compute_button.setText("Cancel" if running else "Compute")
        if name is not None:
            self.offer.setText(uncertainty_maps.offer_text(str(name)))

    def _compute(self) -> None:
        run = self._desk.session.running
        if run is not None and run.only_maps:
            run.cancel()
            return
        try:
            segmenting.check_idle(self._desk)
            self._desk.presenter.compute_map(
                self._desk.key, str(self.map_box.currentData()), self._desk.preferences.device
            )
        except FlomoError as error:
            self._desk.say(str(error), "warning")

    def _on_event(self, event: Event) -> None:
        run = getattr(event, "run", None)
        if run is None or not run.only_maps:
            return
        if isinstance(event, RunProgressed):
            self.progress.setRange(0, event.progress.total)
            self.progress.setValue(event.progress.done)
            self.progress.setFormat(progress_text(event.progress))
            return
        self.refresh()
        if isinstance(event, RunFinished) and self._layer is not None:
            self._layer.visible = True

    def _show(self, visible: bool) -> None:
        if self._layer is not None:
            self._layer.visible = visible

    def _on_visible(self, _event: object = None) -> None:
        self.visible_box.blockSignals(True)
        self.visible_box.setChecked(self._layer is not None and self._layer.visible)
        self.visible_box.blockSignals(False)

    def _on_scale(self, _event: object = None) -> None:
        limits = (0, 1) if self._layer is None else self._layer.contrast_limits
        self.legend.set_largest(float(limits[1]))

    def _set_threshold(self, _value: int = 0) -> None:
        self._label_threshold()
        if self._layer is not None:
            self._layer.colormap = overlay.colormap(self.threshold)

    def _label_threshold(self) -> None:
        self.number.setText(f"{self.threshold:.2f}")
        self.legend.set_threshold(self.threshold)
