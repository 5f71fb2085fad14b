"""Controls of the uncertainty overlay in the Review section: map, opacity, threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib import (
    parameters,
    progress_bar,
    uncertainty,
    views,
)
from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    Event,
    Run,
    RunFinished,
    RunProgressed,
    RunStarted,
    uncertainty_maps,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.scene_image import SceneImage
    from FLoMoSegmentationLib.widget import Widget
    from napari_flomo.segmentation import Segmentation


class UncertaintyPanel:
    """Show an uncertainty map over the image; compute it on request if it is missing.

    Parameters
    ----------
    ui
        Widgets of ``Review.ui`` by name.
    host
        The whole module.
    """

    def __init__(self, ui: Any, host: Widget) -> None:
        self.ui = ui
        self.host = host
        self._filling = False
        self._pending: tuple[SceneImage, str] | None = None  # a map that is offered, not shown
        ui.showUncertainty.connect("toggled(bool)", self.on_uncertainty)
        ui.opacity.connect("valueChanged(double)", self.on_uncertainty)
        ui.threshold.connect("valueChanged(double)", self.on_uncertainty)
        ui.mapBox.connect("activated(int)", self.on_map)
        ui.computeButton.connect("clicked(bool)", self.on_compute)
        host.logic.session.subscribe(self.on_event)

    def refresh(self) -> None:
        """Show the choices, and the maps of the image that is chosen."""
        chosen = parameters.read(self.host.parameter_node())
        self._filling = True
        self.ui.showUncertainty.setChecked(chosen.show_uncertainty)
        self.ui.opacity.setValue(chosen.opacity)
        self.ui.threshold.setValue(chosen.threshold)
        self._filling = False
        self.fill_maps()
        self.draw()

    def fill_maps(self) -> None:
        """List the maps, those that are there first; the one that is shown is chosen."""
        box, entry, known, there = self.ui.mapBox, self.host.entry, self._known, self._there
        box.clear()
        if entry is not None and known is not None:
            for name in uncertainty_maps.maps_offered(known.card.network, there):
                box.addItem(uncertainty_maps.entry_of(name, there), name)
            chosen = "" if entry.record is None else entry.record.map
            if self._pending is not None and self._pending[0] is entry:
                chosen = self._pending[1]
            box.setCurrentIndex(max(box.findData(chosen), 0))
        box.setEnabled(box.count > 0)
        self.show_offer()

    def show_offer(self) -> None:
        """Describe the chosen map; offer to compute it, or show the progress of that."""
        name, running = self._chosen, self._running is not None
        missing = bool(name) and name not in self._there
        lines = [uncertainty_maps.explanation_of(name)] if name else []
        record = None if self.host.entry is None else self.host.entry.record
        if missing and not running:
            lines.append(uncertainty_maps.offer_text(name))
        elif not missing and record is not None and record.largest < 1:
            end = f"{record.largest:.2g}, the largest value in this image."
            lines.append(f"The colours end at {end}")
        self.ui.mapLine.setText(" ".join(lines))
        self.ui.mapLine.setVisible(bool(lines))
        self.ui.computeButton.setText("Cancel" if running else "Compute")
        self.ui.computeButton.setVisible(running or missing)
        self.ui.computeButton.setEnabled(True)
        self.ui.mapProgress.setVisible(running)

    def draw(self) -> None:
        """Lay the uncertainty over the image as the user wants it."""
        chosen = parameters.read(self.host.parameter_node())
        entry = self.host.entry
        record = None if entry is None else entry.record
        node = None if record is None else record.uncertainty
        if record is not None and node is not None:
            uncertainty.style(slicer.mrmlScene, node, chosen.threshold, record.largest)
        views.show_uncertainty(node if chosen.show_uncertainty else None, chosen.opacity)

    @property
    def _known(self) -> Segmentation | None:
        """What the network said of the chosen image; None also where that was just deleted."""
        entry, logic = self.host.entry, self.host.logic
        if entry is None or entry not in logic.entries:
            return None
        return logic.session.image(entry.key).segmentation

    @property
    def _there(self) -> tuple[str, ...]:
        """Names of the maps that the chosen image has."""
        return () if self._known is None else tuple(self._known.uncertainty)

    @property
    def _chosen(self) -> str:
        """Name of the map that is chosen in the list; empty without one."""
        return str(self.ui.mapBox.currentData or "") if self.ui.mapBox.count else ""

    @property
    def _running(self) -> Run | None:
        """The run that computes a map; None while there is none."""
        run = self.host.logic.session.running
        return run if run is not None and run.only_maps else None

    # What the user does

    def on_uncertainty(self, _value: Any = None) -> None:
        """Change how the uncertainty is shown."""
        if self._filling:
            return
        chosen = parameters.change(
            self.host.parameter_node(),
            show_uncertainty=bool(self.ui.showUncertainty.checked),
            opacity=float(self.ui.opacity.value),
            threshold=float(self.ui.threshold.value),
        )
        self.host.logic.threshold = chosen.threshold
        self.draw()

    def on_map(self, _index: int = 0) -> None:
        """Show a map that is there; offer one that is not, and leave the old one where it is."""
        entry, name = self.host.entry, self._chosen
        if entry is None or not name:
            return
        self._pending = None if name in self._there else (entry, name)
        if self._pending is None:
            self._attempt(lambda: self.host.logic.show_map(entry, name))
            self.draw()
        self.show_offer()

    def on_compute(self, _checked: bool = False) -> None:
        """Compute the chosen map, or cancel that."""
        run = self._running
        if run is not None:
            self.ui.computeButton.setEnabled(False)
            progress_bar.stop(self.ui.mapProgress)
            run.cancel()
            return
        name, device = self._chosen, parameters.read(self.host.parameter_node()).device
        logic, entry, model = self.host.logic, self.host.entry, self.host.segment.model
        self.host.segment.say("")
        self._attempt(lambda: logic.compute_map(entry, name, device, model))

    # What the work tells

    def on_event(self, event: Event) -> None:
        """Show how far a map is and how that ended."""
        run = getattr(event, "run", None)
        if run is None or not run.only_maps:
            return
        if isinstance(event, RunStarted):
            progress_bar.begin(self.ui.mapProgress)
            self.show_offer()
            self.host.hurry()
        elif isinstance(event, RunProgressed):
            progress_bar.show(self.ui.mapProgress, event.progress)
        elif isinstance(event, RunFinished):
            entry = self.host.entry
            if entry is not None and entry.key == run.key:
                parameters.change(self.host.parameter_node(), show_uncertainty=True)
                self._pending = None
            self.refresh()
        else:
            self.show_offer()

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except FlomoError as error:
            self.host.segment.say(str(error), "warning")
