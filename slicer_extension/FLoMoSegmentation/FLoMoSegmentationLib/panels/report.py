"""Dialog: save a report of an image, or copy its numbers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import qt
import slicer

from napari_flomo.errors import FlomoError
from napari_flomo.files import write_all
from napari_flomo.reports import (
    REPORT_FORMATS,
    report_files,
    report_table,
    report_text,
    structured_report_paths,
)
from napari_flomo.segmentation import DICOM_SUFFIX
from napari_flomo.session import messages, report_messages, report_of, save_structured_report
from napari_flomo.volumes import with_ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_flomo.reports import Report
    from napari_flomo.session import OpenImage

_FILTERS = [f"{ending[1:].upper()} (*{ending})" for ending in REPORT_FORMATS]
_STRUCTURED = f"{messages.STRUCTURED_REPORT} (*{DICOM_SUFFIX})"


class ReportDialog:
    """Shows the report of an image as text, and saves or copies it.

    Parameters
    ----------
    image
        A segmented image.
    dialog
        The widget of ``Report.ui``.
    in_main_thread
        Has a function called in Slicer's thread.
    series
        A file of the DICOM series that the image was loaded from; empty for others.

    Raises
    ------
    FlomoError
        If the image was not segmented.
    """

    def __init__(
        self,
        image: OpenImage,
        dialog: Any,
        in_main_thread: Callable[[Callable[[], None]], object],
        series: str = "",
    ) -> None:
        self._image = image
        self._in_main_thread = in_main_thread
        self._series = series
        self._measured = report_of(image)  # takes up to a second, so once
        self.dialog = dialog
        self.ui = slicer.util.childWidgetVariables(dialog)
        dialog.setWindowTitle(report_messages.TITLE)
        for button, (title, tip), action in (
            (self.ui.saveReportButton, report_messages.SAVE, self.on_save),
            (self.ui.copyTextButton, report_messages.COPY_TEXT, self.on_copy_text),
            (self.ui.copyTableButton, report_messages.COPY_TABLE, self.on_copy_table),
        ):
            button.setText(title)
            button.setToolTip(tip)
            button.connect("clicked(bool)", action)
        self.ui.heightBox.connect("valueChanged(double)", self.refresh)
        self.ui.weightBox.connect("valueChanged(double)", self.refresh)
        self.ui.patientEdit.connect("textChanged(QString)", self.refresh)
        self.refresh()
        dialog.show()

    def refresh(self, _value: Any = None) -> None:
        """Show the report with what is typed in, or what is wrong with that."""
        report, ui = self._report(), self.ui
        ui.reportText.setPlainText("" if report is None else report_text(report))
        for button in (ui.saveReportButton, ui.copyTextButton, ui.copyTableButton):
            button.setEnabled(report is not None)

    # Actions of the user

    def on_save(self, _checked: bool = False) -> None:
        """Ask for a file, and save the report; PDF is used for a name without an ending.

        A DICOM structured report is written in another thread, and shown when it is done.
        """
        filters = [*_FILTERS, _STRUCTURED] if self._series else _FILTERS
        name = report_messages.file_name(self._image.name)
        path = qt.QFileDialog.getSaveFileName(
            self.dialog, report_messages.SAVE_TITLE, name, ";;".join(filters)
        )
        report = self._report()
        if not path or report is None:
            return
        target = with_ending(str(path), REPORT_FORMATS[0])
        if str(target) != str(path) and not _may_replace(target):  # its name was not typed
            return
        if self._series and target.suffix == DICOM_SUFFIX:
            self._save_structured(report, target)
            return
        try:
            write_all(report_files(report, [str(target)]))
        except FlomoError as error:
            self.ui.reportLine.setText(str(error))
        else:
            self.ui.reportLine.setText(messages.SAVED_TO.format(target))

    def on_copy_text(self, _checked: bool = False) -> None:
        """Copy the report as text."""
        self._copy(report_text)

    def on_copy_table(self, _checked: bool = False) -> None:
        """Copy the measures as a table."""
        self._copy(report_table)

    def _save_structured(self, report: Report, target: Path) -> None:
        """Start to write a structured report and its segmentations."""
        if not all(map(_may_replace, structured_report_paths(report, target)[1:])):
            return
        self.ui.saveReportButton.setEnabled(False)
        self.ui.reportLine.setText(messages.WRITING_STRUCTURED_REPORT)

        def done(text: str) -> None:
            self.ui.reportLine.setText(text)
            self.ui.saveReportButton.setEnabled(True)

        def work() -> None:
            try:
                text = save_structured_report(self._image, report, self._series, target)
            except FlomoError as error:
                text = str(error)
            self._in_main_thread(lambda: done(text))

        threading.Thread(target=work, name="flomo report", daemon=True).start()

    def _copy(self, content: Any) -> None:
        report = self._report()
        if report is not None:
            qt.QApplication.clipboard().setText(content(report))

    def _report(self) -> Report | None:
        height, weight = float(self.ui.heightBox.value), float(self.ui.weightBox.value)
        patient = str(self.ui.patientEdit.text)
        try:
            report = self._measured.of_person(height or None, weight or None, patient)
        except FlomoError as error:
            self.ui.reportLine.setText(str(error))
            return None
        self.ui.reportLine.setText("")
        return report


def _may_replace(target: Path) -> bool:
    """Ask before a file is overwritten; return True if it may be."""
    question = messages.replace_text([target.name])
    return not target.exists() or bool(slicer.util.confirmYesNoDisplay(question))
