"""The Cine section: volumes over the frames, end diastole and end systole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib.panels.base import Panel
from FLoMoSegmentationLib.panels.curve import CurvePanel
from FLoMoSegmentationLib.panels.phases import PhasePanel
from napari_flomo.session import (
    ConventionsChanged,
    Event,
    LabelsChanged,
    PhasesChanged,
    RunFinished,
    has_phases,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost


class CinePanel(Panel):
    """Shown for a segmented cine of a heart."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self.phases = PhasePanel(ui, host)
        self.curve = CurvePanel(ui, host)
        host.logic.session.subscribe(self.on_event)

    def refresh(self) -> None:
        """Show the chosen image, if it is a segmented cine of a heart."""
        current = self.host.current
        image = None if current is None else self.host.logic.session.image(current.key)
        self.ui.cineBox.setVisible(image is not None and has_phases(image))
        self.phases.refresh()
        self.curve.refresh()

    def on_event(self, event: Event) -> None:
        """Show other volumes or frames; quick enough for every stroke."""
        changes = ConventionsChanged | LabelsChanged | PhasesChanged | RunFinished
        if isinstance(event, changes):
            self.refresh()
