"""The Studies section: a work list of the studies in a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt

from FLoMoSegmentationLib.panels.base import Panel
from napari_flomo.session import continue_from, study_messages
from napari_flomo.session.worklist import Studies
from napari_flomo.volumes import READABLE

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost
    from napari_flomo.volumes.dicom import SeveralSeries


class StudiesPanel(Panel):
    """Studies of a folder with their states, opened one after the other."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        logic = host.logic
        self.studies = Studies(logic.session, logic.adapter, logic.preferences, ask_for_series)
        self._ids: list[str] = []
        table = ui.studiesTable
        table.setColumnCount(len(study_messages.COLUMNS))
        table.setHorizontalHeaderLabels([title for title, _tip in study_messages.COLUMNS])
        table.connect("cellDoubleClicked(int,int)", self.on_row)
        for button, (title, tip), action in (
            (ui.folderButton, study_messages.CHOOSE, self.on_folder),
            (ui.refreshButton, study_messages.REFRESH, self.studies.refresh),
            (ui.previousStudyButton, study_messages.PREVIOUS, self.studies.previous),
            (ui.nextStudyButton, study_messages.NEXT, self.studies.next),
            (ui.continueButton, study_messages.CONTINUE, self.on_continue),
        ):
            button.setText(title)
            button.setToolTip(tip)
            button.connect("clicked(bool)", partial(self._click, action))
        for box, (title, tip) in (
            (ui.onlyOpenBox, study_messages.ONLY_OPEN),
            (ui.byFolderBox, study_messages.BY_FOLDER),
        ):
            box.setText(title)
            box.setToolTip(tip)
        ui.onlyOpenBox.setChecked(self.studies.only_open)
        ui.onlyOpenBox.connect("toggled(bool)", self.on_only_open)
        ui.byFolderBox.setChecked(logic.preferences.name_by_folder)
        ui.byFolderBox.connect("toggled(bool)", self.on_by_folder)
        self._unsubscribe = self.studies.subscribe(self.refresh)
        self.refresh()
        remembered = logic.preferences.worklist
        if remembered and Path(remembered).is_dir():
            self.choose(remembered)

    def refresh(self) -> None:
        """Show the list and what is being done."""
        ui, studies, worklist = self.ui, self.studies, self.studies.worklist
        text = study_messages.NO_FOLDER if worklist is None else worklist.folder.name
        ui.folderLine.setText(studies.busy or text)
        ui.studiesProgress.setText(
            "" if worklist is None else study_messages.progress_text(worklist)
        )
        table, listed = ui.studiesTable, studies.listed
        self._ids = [one.study.id for one in listed]
        table.setRowCount(len(listed))
        for number, one in enumerate(listed):
            for column, text in enumerate(study_messages.row(one)):
                item = table.item(number, column)
                if item is None:
                    table.setItem(number, column, qt.QTableWidgetItem(text))
                else:
                    item.setText(text)
        shown = studies.current
        if shown is None and worklist is not None:
            shown = worklist.remembered()
        if shown in self._ids:
            table.selectRow(self._ids.index(shown))
        for button in (ui.nextStudyButton, ui.previousStudyButton, ui.refreshButton):
            button.setEnabled(worklist is not None and not studies.busy)
        ui.folderButton.setEnabled(not studies.busy)
        if studies.busy:
            self.host.poll_often()

    def choose(self, folder: str) -> None:
        """List the studies of a folder."""
        self.attempt(lambda: self.studies.choose_folder(Path(folder)))

    def close(self) -> None:
        """Write what is known, and end the thread."""
        self._unsubscribe()
        self.studies.close()

    # Actions of the user

    def on_folder(self) -> None:
        """Choose the folder of the list."""
        title = study_messages.CHOOSE[0].removesuffix("…")
        start = self.host.logic.preferences.worklist
        folder = qt.QFileDialog.getExistingDirectory(None, title, start)
        if folder:
            self.choose(str(folder))

    def on_row(self, row: int, _column: int = 0) -> None:
        """Open the study of a row."""
        self.attempt(lambda: self.studies.open(self._ids[row]))

    def on_continue(self) -> None:
        """Choose a file with labels, and review them as those of the chosen image."""
        logic = self.host.logic
        scene_image = logic.images.open(self.host.chosen_image())
        endings = " ".join(f"*{suffix}" for suffix in READABLE)
        title = study_messages.CONTINUE[0].removesuffix("…")
        path = qt.QFileDialog.getOpenFileName(
            None, title, "", f"{study_messages.LABELS} ({endings})"
        )
        if path:
            model = self.host.chosen_model
            continue_from(logic.session, logic.adapter, scene_image.key, Path(str(path)), model)

    def on_only_open(self, only_open: bool) -> None:
        """Show all studies, or those that are not accepted."""
        self.studies.only_open = only_open
        self.refresh()

    def on_by_folder(self, by_folder: bool) -> None:
        """Name DICOM images by their folder, or without patient data."""
        self.host.logic.preferences.name_by_folder = by_folder

    def _click(self, action: Any, _checked: bool = False) -> None:
        self.attempt(action)


def ask_for_series(several: SeveralSeries) -> str | None:
    """Ask which of several DICOM series to open; return None if none is chosen."""
    names = [text for _, text in several.choices]
    dialog = qt.QInputDialog()
    dialog.setWindowTitle(study_messages.SERIES_TITLE)
    dialog.setLabelText(study_messages.SERIES_QUESTION)
    dialog.setComboBoxItems(names)
    if not dialog.exec_():
        return None
    chosen = dialog.textValue  # a property in PythonQt
    return several.choices[names.index(str(chosen() if callable(chosen) else chosen))][0]
