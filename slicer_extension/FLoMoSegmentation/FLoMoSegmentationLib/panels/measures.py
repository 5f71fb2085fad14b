"""The Measures section: end diastole and end systole, and the table of measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib.panels.base import Panel
from FLoMoSegmentationLib.panels.phases import PhasePanel

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost


class MeasuresPanel(Panel):
    """Shows the measures of the chosen image."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self.phases = PhasePanel(ui, host)

    def refresh(self) -> None:
        """Show the measures of the chosen image."""
        current = self.host.current
        results = None if current is None else current.results
        self.ui.measuresView.setMRMLTableNode(None if results is None else results.table)
        self.phases.refresh()
