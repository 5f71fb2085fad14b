"""Controls of the uncertainty layer: visibility, map and threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_flomo.session import RunEvent, RunFinished, RunProgressed, uncertainty_maps
from napari_flomo.widgets import overlay, uncertainty_layer
from napari_flomo.widgets.forms import insert_below, make_form, set_choices, show_value
from napari_flomo.widgets.forms.review import UncertaintyOptions
from napari_flomo.widgets.legend import Legend
from napari_flomo.widgets.panels.panel import ProgressBar, button, note

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_flomo.session import Event, Run
    from napari_flomo.widgets.viewer_state import ViewerState


class UncertaintyBox(QWidget):
    """Shows or hides the uncertainty map, and offers to compute other maps."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer_state = viewer_state
        self._layer: Image | None = None
        self.form = form = make_form(UncertaintyOptions)
        self.legend = Legend()
        self.offer = note(
            "This map has not been computed yet; computing it leaves the labels alone"
        )
        self.compute_button = button(
            "Compute", "Compute this map; labels and review stay as they are", self._compute
        )
        self.progress = ProgressBar()
        self._offer_row = QWidget()
        offered = QHBoxLayout(self._offer_row)
        offered.setContentsMargins(0, 0, 0, 0)
        offered.addWidget(self.offer, 1)
        offered.addWidget(self.progress, 1)
        offered.addWidget(self.compute_button)
        insert_below(form, form.map, self._offer_row)
        insert_below(form, form.threshold, self.legend)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.native)
        form.overlay.changed.connect(self._show)
        form.map.changed.connect(self._choose_map)
        form.threshold.changed.connect(self._set_threshold)
        self._set_threshold()
        self._show_offer()
        viewer_state.session_changed.connect(self._on_event)

    @property
    def threshold(self) -> float:
        """Uncertainty below this is hidden."""
        return float(self.form.threshold.value)

    def refresh(self) -> None:
        """Show the maps of the current image."""
        entry = self._viewer_state.current
        layer = None if entry is None else entry.uncertainty
        self.setEnabled(entry is not None and entry.labels is not None)
        self.form.overlay.enabled = layer is not None
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
    def _computed(self) -> tuple[str, ...]:
        """Names of the maps that the current image has."""
        image = self._viewer_state.current_image
        known = None if image is None else image.segmentation
        return () if known is None else tuple(known.uncertainty)

    def _fill_maps(self) -> None:
        entry, image = self._viewer_state.current, self._viewer_state.current_image
        row, computed, options = self.form.map, self._computed, []
        if image is not None and image.segmentation is not None:
            network = image.segmentation.card.network
            options = [
                (
                    uncertainty_maps.entry_of(name, computed),
                    name,
                    uncertainty_maps.explanation_of(name),
                )
                for name in uncertainty_maps.maps_offered(network, computed)
            ]
        set_choices(row, options)
        if entry is not None and entry.map in computed:
            show_value(row, entry.map)

    def _choose_map(self, name: str | None) -> None:
        entry = self._viewer_state.current
        if entry is not None and entry.key is not None and name in self._computed:
            self._viewer_state.adapter.show_map(entry.key, name)
        self._show_offer()

    @property
    def _run(self) -> Run | None:
        """The run that computes a map of the current image, also while it waits."""
        state = self._viewer_state
        found = (run for run in state.session.runs if run.only_maps and run.key == state.key)
        return next(found, None)

    def _show_offer(self) -> None:
        """Offer to compute the chosen map, or show how far that is."""
        run, name = self._run, self.form.map.value
        running = run is not None
        self._offer_row.setVisible(running or (name is not None and name not in self._computed))
        self.offer.setVisible(not running)
        self.progress.setVisible(running)
        if run is not None:
            self.progress.show_run(run, self._viewer_state.session.runs.index(run))
        self.compute_button.setText("Cancel" if running else "Compute")
        if name is not None:
            self.offer.setText(uncertainty_maps.offer_text(name))

    def _compute(self) -> None:
        if self._run is not None:
            self._run.cancel()
            return
        state, name = self._viewer_state, self.form.map.value
        state.attempt(
            lambda: state.presenter.compute_map(state.key, name, state.preferences.device)
        )

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, RunEvent) or not event.run.only_maps:
            return
        if isinstance(event, RunProgressed):
            if event.run is self._run:
                self.progress.show_progress(event.progress)
            return
        self.refresh()
        mine = event.run.key == self._viewer_state.key
        if isinstance(event, RunFinished) and mine and self._layer is not None:
            self._layer.visible = True

    def _show(self, visible: bool) -> None:
        if self._layer is not None:
            uncertainty_layer.show(self._viewer_state, visible)
            self._on_visible()

    def _on_visible(self, _event: object = None) -> None:
        show_value(self.form.overlay, self._layer is not None and self._layer.visible)

    def _on_scale(self, _event: object = None) -> None:
        limits = (0, 1) if self._layer is None else self._layer.contrast_limits
        self.legend.set_largest(float(limits[1]))

    def _set_threshold(self, _value: float = 0) -> None:
        self.legend.set_threshold(self.threshold)
        if self._layer is not None:
            self._layer.colormap = overlay.colormap(self.threshold)
