"""The Measures section: the table of measures."""

from __future__ import annotations

from FLoMoSegmentationLib.panels.base import Panel


class MeasuresPanel(Panel):
    """Shows the measures of the chosen image."""

    def refresh(self) -> None:
        """Show the measures of the chosen image."""
        current = self.host.current
        results = None if current is None else current.results
        self.ui.measuresView.setMRMLTableNode(None if results is None else results.table)
