"""The Measures section: the table of measures, and the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib.images import dicom_file
from FLoMoSegmentationLib.panels.base import Panel
from FLoMoSegmentationLib.panels.report import ReportDialog
from napari_flomo.session import report_messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost


class MeasuresPanel(Panel):
    """Shows the measures of the chosen image.

    Parameters
    ----------
    ui, host
        As in `Panel`.
    load_report
        Loads the widgets of the report.

    Attributes
    ----------
    report
        The dialog that was opened last; None before the first.
    """

    def __init__(self, ui: Any, host: PanelHost, load_report: Callable[[], Any]) -> None:
        super().__init__(ui, host)
        self._load_report = load_report
        self.report: ReportDialog | None = None
        title, tip = report_messages.REPORT
        ui.reportButton.setText(title)
        ui.reportButton.setToolTip(tip)
        ui.reportButton.connect("clicked(bool)", self.on_report)

    def refresh(self) -> None:
        """Show the measures of the chosen image."""
        current = self.host.current
        results = None if current is None else current.results
        self.ui.measuresView.setMRMLTableNode(None if results is None else results.table)
        self.ui.reportButton.setEnabled(results is not None)

    def on_report(self, _checked: bool = False) -> None:
        """Open the report of the chosen image."""
        current, logic = self.host.current, self.host.logic
        if current is not None:
            logic.adapter.read_labels(current.key)
            image = logic.session.image(current.key)
            series = dicom_file(current.nodes)
            self.report = self.attempt(
                lambda: ReportDialog(
                    logic.presenter, image, self._load_report(), logic.queue.put, series
                )
            )
