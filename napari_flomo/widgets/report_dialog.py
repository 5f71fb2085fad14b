"""Dialog: save a report of the current image, or copy its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

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
from napari_flomo.session import messages, report_messages, start_structured_report
from napari_flomo.widgets.forms import make_form
from napari_flomo.widgets.forms.report import PersonOptions, make_conventions_form
from napari_flomo.widgets.main_thread import MainThread
from napari_flomo.widgets.panels.panel import button
from napari_flomo.widgets.saving import check_overwrite, complete

if TYPE_CHECKING:
    from napari_flomo.reports import Report
    from napari_flomo.session import OpenImage, Presenter

_FILTERS = {f"{ending[1:].upper()} (*{ending})": ending for ending in REPORT_FORMATS}
_STRUCTURED = {f"{messages.STRUCTURED_REPORT} (*{DICOM_SUFFIX})": DICOM_SUFFIX}


class ReportDialog(QDialog):
    """Shows the report of an image as text, and saves or copies it.

    Parameters
    ----------
    presenter
        Measures the image.
    image
        A segmented image.
    parent
        The widget that it belongs to.
    series
        Folder or a file of the DICOM series that the image was read from; empty for others.
    """

    def __init__(
        self,
        presenter: Presenter,
        image: OpenImage,
        parent: QWidget | None = None,
        *,
        series: str = "",
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(report_messages.TITLE)
        self._presenter = presenter
        self._image = image
        self._series = series
        self._in_main_thread = MainThread(self)
        self._measured: Report | None = None
        self._fault = ""
        self.form = make_form(PersonOptions)
        self.form.changed.connect(self.refresh)
        self.conventions = make_conventions_form(image.conventions)
        self.conventions.changed.connect(self._measure)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName(report_messages.TITLE)
        self.text.setMinimumHeight(260)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.save_button = button(*report_messages.SAVE, self._ask_and_save)
        self.copy_button = button(*report_messages.COPY_TEXT, self._copy_text)
        self.table_button = button(*report_messages.COPY_TABLE, self._copy_table)
        layout, buttons = QVBoxLayout(self), QHBoxLayout()
        for widget in (self.form.native, self.conventions.native, self.text, self.problem):
            layout.addWidget(widget)
        for one in (self.save_button, self.copy_button, self.table_button):
            buttons.addWidget(one)
        layout.addLayout(buttons)
        self.resize(480, self.sizeHint().height())
        self._measure()

    def refresh(self) -> None:
        """Show the report with what is typed in, or what is wrong with that."""
        report = self._report()
        self.text.setPlainText("" if report is None else report_text(report))
        for one in (self.save_button, self.copy_button, self.table_button):
            one.setEnabled(report is not None)

    def save(self, path: str, ending: str = ".pdf") -> None:
        """Save the report; ``ending`` is added to a name without one.

        A DICOM structured report is written in another thread, and shown when it is done. Raises
        `FlomoError` if a file cannot be written.
        """
        report = self._report()
        if report is None:
            return
        target = complete(path, ending)
        if self._series and target.suffix == DICOM_SUFFIX:
            self._save_structured(report, target)
            return
        write_all(report_files(report, [str(target)]))
        self.problem.setText(messages.SAVED_TO.format(target))

    def _save_structured(self, report: Report, target: Path) -> None:
        """Start to write a structured report and its segmentations."""
        check_overwrite(structured_report_paths(report, target)[1:])
        self.save_button.setEnabled(False)
        self.problem.setText(messages.WRITING_STRUCTURED_REPORT)

        def done(text: str) -> None:
            self.problem.setText(text)
            self.save_button.setEnabled(True)

        start_structured_report(
            self._image,
            report,
            self._series,
            target,
            done=done,
            in_main_thread=self._in_main_thread,
        )

    def _measure(self) -> None:
        """Measure by the conventions that are chosen, which takes up to a second."""
        try:
            self._measured = self._presenter.report(self._image.key, self.conventions())
            self._fault = ""
        except FlomoError as error:
            self._measured, self._fault = None, str(error)
        self.refresh()

    def _report(self) -> Report | None:
        person = self.form()
        if self._measured is None:
            self.problem.setText(self._fault)
            return None
        try:
            report = self._measured.of_person(
                person.height_cm or None,
                person.weight_kg or None,
                person.patient,
                person.heart_rate or None,
            )
        except FlomoError as error:
            self.problem.setText(str(error))
            return None
        self.problem.setText("")
        return report

    def _ask_and_save(self) -> None:
        filters = _FILTERS | _STRUCTURED if self._series else _FILTERS
        name = report_messages.file_name(self._image.name)
        path, chosen = QFileDialog.getSaveFileName(
            self, report_messages.SAVE_TITLE, name, ";;".join(filters)
        )
        if not path:
            return
        try:
            self.save(path, filters.get(chosen, REPORT_FORMATS[0]))
        except FlomoError as error:
            self.problem.setText(str(error))

    def _copy_text(self) -> None:
        QApplication.clipboard().setText(self.text.toPlainText())

    def _copy_table(self) -> None:
        report = self._report()
        if report is not None:
            QApplication.clipboard().setText(report_table(report))
