"""Uncertainty in the Review section: map, opacity and threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import parameters, progress_bar, slice_views, uncertainty
from FLoMoSegmentationLib.panels.base import Panel
from napari_flomo.session import (
    Event,
    Run,
    RunFinished,
    RunProgressed,
    RunStarted,
    uncertainty_maps,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.segmentation import Segmentation


class UncertaintyPanel(Panel):
    """Shows an uncertainty map over the image; computes it on request if it is missing."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self._updating = False
        self._pending: tuple[SceneImage, str] | None = None  # a map that is offered, not shown
        ui.showUncertainty.connect("toggled(bool)", self.on_display)
        ui.opacity.connect("valueChanged(double)", self.on_display)
        ui.threshold.connect("valueChanged(double)", self.on_display)
        ui.mapBox.connect("activated(int)", self.on_map)
        ui.computeButton.connect("clicked(bool)", self.on_compute)
        host.logic.session.subscribe(self.on_event)

    def refresh(self) -> None:
        """Show the choices, and the maps of the chosen image."""
        chosen = parameters.read(self.host.parameter_node())
        self._updating = True
        self.ui.showUncertainty.setChecked(chosen.show_uncertainty)
        self.ui.opacity.setValue(chosen.opacity)
        self.ui.threshold.setValue(chosen.threshold)
        self._updating = False
        self.fill_maps()
        self.update_display()

    def fill_maps(self) -> None:
        """List the maps, computed ones first, and select the one that is shown."""
        box, current, segmentation = self.ui.mapBox, self.host.current, self._segmentation
        box.clear()
        if current is not None and segmentation is not None:
            computed = self._computed
            for name in uncertainty_maps.maps_offered(segmentation.card.network, computed):
                box.addItem(uncertainty_maps.entry_of(name, computed), name)
            chosen = "" if current.results is None else current.results.shown_map
            if self._pending is not None and self._pending[0] is current:
                chosen = self._pending[1]
            box.setCurrentIndex(max(box.findData(chosen), 0))
        box.setEnabled(box.count > 0)
        self.describe_map()

    def describe_map(self) -> None:
        """Describe the chosen map; offer to compute it, or to cancel that."""
        name, running = self._chosen, self._running is not None
        missing = bool(name) and name not in self._computed
        lines = [uncertainty_maps.explanation_of(name)] if name else []
        results = None if self.host.current is None else self.host.current.results
        if missing and not running:
            lines.append(uncertainty_maps.offer_text(name))
        elif not missing and results is not None and results.map_maximum < 1:
            maximum = f"{results.map_maximum:.2g}"
            lines.append(f"The colours end at {maximum}, the largest value in this image.")
        self.ui.mapLine.setText(" ".join(lines))
        self.ui.mapLine.setVisible(bool(lines))
        self.ui.computeButton.setText("Cancel" if running else "Compute")
        self.ui.computeButton.setVisible(running or missing)
        self.ui.computeButton.setEnabled(True)
        self.ui.mapProgress.setVisible(running)

    def update_display(self) -> None:
        """Show or hide the map over the image, with the chosen opacity and threshold."""
        chosen = parameters.read(self.host.parameter_node())
        results = None if self.host.current is None else self.host.current.results
        node = None if results is None else results.uncertainty
        if results is not None and node is not None:
            uncertainty.style(node, chosen.threshold, results.map_maximum)
        slice_views.show_uncertainty(node if chosen.show_uncertainty else None, chosen.opacity)

    @property
    def _segmentation(self) -> Segmentation | None:
        """Result of the network for the chosen image; None also if that was just closed."""
        current, logic = self.host.current, self.host.logic
        if current is None or current not in logic.images.opened:
            return None
        return logic.session.image(current.key).segmentation

    @property
    def _computed(self) -> tuple[str, ...]:
        """Names of the computed maps of the chosen image."""
        return () if self._segmentation is None else tuple(self._segmentation.uncertainty)

    @property
    def _chosen(self) -> str:
        """Name of the map that is chosen in the list; empty without one."""
        return str(self.ui.mapBox.currentData or "") if self.ui.mapBox.count else ""

    @property
    def _running(self) -> Run | None:
        """The run that computes a map of the chosen image, or waits; None without one."""
        key = None if self.host.current is None else self.host.current.key
        runs = self.host.logic.session.runs
        return next((run for run in runs if run.only_maps and run.key == key), None)

    # Actions of the user

    def on_display(self, _value: Any = None) -> None:
        """Save visibility, opacity and threshold."""
        if self._updating:
            return
        parameters.change(
            self.host.parameter_node(),
            show_uncertainty=bool(self.ui.showUncertainty.checked),
            opacity=float(self.ui.opacity.value),
            threshold=float(self.ui.threshold.value),
        )
        self.update_display()

    def on_map(self, _index: int = 0) -> None:
        """Show a computed map; offer to compute another one, and keep the shown map."""
        current, name = self.host.current, self._chosen
        if current is None or not name:
            return
        self._pending = None if name in self._computed else (current, name)
        if self._pending is None:
            self.attempt(lambda: self.host.logic.show_map(current, name))
            self.update_display()
        self.describe_map()

    def on_compute(self, _checked: bool = False) -> None:
        """Compute the chosen map, or cancel that."""
        run = self._running
        if run is not None:
            self.ui.computeButton.setEnabled(False)
            progress_bar.stop(self.ui.mapProgress)
            run.cancel()
            return
        host, name = self.host, self._chosen
        device = parameters.read(host.parameter_node()).device
        host.acted()
        self.attempt(lambda: host.logic.compute_map(host.current, name, device, host.chosen_model))

    def on_event(self, event: Event) -> None:
        """Show progress and end of a run that computes a map."""
        run = getattr(event, "run", None)
        if run is None or not run.only_maps:
            return
        if isinstance(event, RunStarted):
            progress_bar.start(self.ui.mapProgress)
            self.describe_map()
            self.host.poll_often()
        elif isinstance(event, RunProgressed):
            progress_bar.show(self.ui.mapProgress, event.progress)
        elif isinstance(event, RunFinished):
            current = self.host.current
            if current is not None and current.key == run.key:
                parameters.change(self.host.parameter_node(), show_uncertainty=True)
                self._pending = None
            self.refresh()
        else:
            self.describe_map()
