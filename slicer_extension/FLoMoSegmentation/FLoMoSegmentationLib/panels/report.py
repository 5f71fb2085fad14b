"""Dialog: save a report of an image, or copy its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer

from napari_flomo.errors import FlomoError
from napari_flomo.files import write_all
from napari_flomo.measures import DENSITIES_G_PER_ML, Conventions
from napari_flomo.reports import (
    REPORT_FORMATS,
    report_files,
    report_table,
    report_text,
    structured_report_paths,
)
from napari_flomo.segmentation import DICOM_SUFFIX
from napari_flomo.session import (
    measure_messages,
    messages,
    report_messages,
    start_structured_report,
)
from napari_flomo.volumes import with_ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_flomo.reports import Report
    from napari_flomo.session import OpenImage, Presenter

_FILTERS = [f"{ending[1:].upper()} (*{ending})" for ending in REPORT_FORMATS]
_STRUCTURED = f"{messages.STRUCTURED_REPORT} (*{DICOM_SUFFIX})"


class ReportDialog:
    """Shows the report of an image as text, and saves or copies it.

    Parameters
    ----------
    presenter
        Measures the image.
    image
        A segmented image.
    dialog
        The widget of ``Report.ui``.
    in_main_thread
        Has a function called in Slicer's thread.
    series
        A file of the DICOM series that the image was loaded from; empty for others.
    """

    def __init__(
        self,
        presenter: Presenter,
        image: OpenImage,
        dialog: Any,
        in_main_thread: Callable[[Callable[[], None]], object],
        series: str = "",
    ) -> None:
        self._image = image
        self._in_main_thread = in_main_thread
        self._series = series
        self._presenter = presenter
        self._measured: Report | None = None
        self._fault = ""
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
        self.ui.heartRateBox.connect("valueChanged(double)", self.refresh)
        self.ui.patientEdit.connect("textChanged(QString)", self.refresh)
        self._fill_conventions()
        self.measure()
        dialog.show()

    def measure(self, _value: Any = None) -> None:
        """Measure by the conventions that are chosen, which takes up to a second."""
        chosen = {
            field.name: field.choices[box.currentIndex][1] for field, _label, box in self._boxes
        }
        density = round(float(self.ui.densityBox.value), 2)
        conventions = Conventions(**chosen, density_g_per_ml=density)
        try:
            self._measured = self._presenter.report(self._image.key, conventions)
            self._fault = ""
        except FlomoError as error:
            self._measured, self._fault = None, str(error)
        self.refresh()

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

        start_structured_report(
            self._image,
            report,
            self._series,
            target,
            done=done,
            in_main_thread=self._in_main_thread,
        )

    def _fill_conventions(self) -> None:
        """Offer the choices of `Conventions`, with the present ones chosen."""
        ui, present = self.ui, self._image.conventions
        widgets = (
            (ui.papillaryMusclesLabel, ui.papillaryMusclesBox),
            (ui.basalSlicesLabel, ui.basalSlicesBox),
            (ui.sliceGapsLabel, ui.sliceGapsBox),
        )
        self._boxes = [
            (field, label, box)
            for field, (label, box) in zip(measure_messages.CONVENTION_FIELDS, widgets, strict=True)
        ]
        for field, label, box in self._boxes:
            label.setText(field.title)
            box.setToolTip(field.tip)
            for title, _value in field.choices:
                box.addItem(title)
            values = [value for _title, value in field.choices]
            box.setCurrentIndex(values.index(getattr(present, field.name)))
            box.connect("activated(int)", self.measure)
        title, tip = measure_messages.DENSITY
        ui.densityLabel.setText(title)
        ui.densityBox.setToolTip(tip)
        ui.densityBox.setMinimum(DENSITIES_G_PER_ML[0])
        ui.densityBox.setMaximum(DENSITIES_G_PER_ML[1])
        ui.densityBox.setValue(present.density_g_per_ml)
        ui.densityBox.connect("valueChanged(double)", self.measure)

    def _copy(self, content: Any) -> None:
        report = self._report()
        if report is not None:
            qt.QApplication.clipboard().setText(content(report))

    def _report(self) -> Report | None:
        height, weight = float(self.ui.heightBox.value), float(self.ui.weightBox.value)
        patient, rate = str(self.ui.patientEdit.text), float(self.ui.heartRateBox.value)
        if self._measured is None:
            self.ui.reportLine.setText(self._fault)
            return None
        try:
            report = self._measured.of_person(height or None, weight or None, patient, rate or None)
        except FlomoError as error:
            self.ui.reportLine.setText(str(error))
            return None
        self.ui.reportLine.setText("")
        return report


def _may_replace(target: Path) -> bool:
    """Ask before a file is overwritten; return True if it may be."""
    question = messages.replace_text([target.name])
    return not target.exists() or bool(slicer.util.confirmYesNoDisplay(question))
