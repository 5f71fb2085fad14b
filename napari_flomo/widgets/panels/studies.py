"""The Studies panel: a work list of the studies in a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_flomo.session import study_messages
from napari_flomo.widgets import earlier_file
from napari_flomo.widgets.keys import bind
from napari_flomo.widgets.panels.panel import Panel, button, note
from napari_flomo.widgets.viewer_state import viewer_state_of

if TYPE_CHECKING:
    import napari.viewer


class StudiesPanel(Panel):
    """Studies of a folder with their states, opened one after the other."""

    name = "Studies"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer_state_of(napari_viewer))
        self.studies = self.viewer_state.get_studies()
        self._ids: list[str] = []
        self._scrolled_to: str | None = None
        self._build()
        bind(self.viewer_state)
        self.viewer_state.studies_changed.connect(self.refresh)
        self.refresh()
        remembered = self.viewer_state.preferences.worklist
        if self.studies.worklist is None and remembered and Path(remembered).is_dir():
            QTimer.singleShot(0, lambda: self.choose(remembered))

    def _build(self) -> None:
        self.folder = note("Folder of the list")
        self.folder_button = button(*study_messages.CHOOSE, self._ask_folder)
        self.refresh_button = button(*study_messages.REFRESH, self.studies.refresh)
        self.only_open = QCheckBox(study_messages.ONLY_OPEN[0])
        self.only_open.setToolTip(study_messages.ONLY_OPEN[1])
        self.only_open.setChecked(self.studies.only_open)
        self.only_open.toggled.connect(self._on_only_open)
        self.progress = QProgressBar()
        self.progress.setToolTip(study_messages.COLUMNS[1][1])
        self.table = QTableWidget(0, len(study_messages.COLUMNS))
        for column, (title, tip) in enumerate(study_messages.COLUMNS):
            item = QTableWidgetItem(title)
            item.setToolTip(tip)
            self.table.setHorizontalHeaderItem(column, item)
        self.table.verticalHeader().setVisible(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setTextElideMode(Qt.TextElideMode.ElideLeft)  # the end of a path tells most
        self.table.setWordWrap(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAccessibleName("Studies")
        self.table.setTabKeyNavigation(False)
        self.table.cellActivated.connect(self._on_row)  # a double click, or Enter
        self.table.setMinimumHeight(150)
        self.previous_button = button(
            "◀", study_messages.PREVIOUS[1], partial(self.attempt, self.studies.previous)
        )
        self.previous_button.setAccessibleName(study_messages.PREVIOUS[0])
        self.next_button = button(
            f"{study_messages.NEXT[0]} ▶",
            study_messages.NEXT[1],
            partial(self.attempt, self.studies.next),
        )
        self.continue_button = button(
            *study_messages.CONTINUE,
            lambda: self.attempt(partial(earlier_file.ask, self.viewer_state, self)),
        )
        self.by_folder = QCheckBox(study_messages.BY_FOLDER[0])
        self.by_folder.setToolTip(study_messages.BY_FOLDER[1])
        self.by_folder.setChecked(self.viewer_state.preferences.name_by_folder)
        self.by_folder.toggled.connect(self._on_by_folder)
        choose, walk, layout = QHBoxLayout(), QHBoxLayout(), QVBoxLayout()
        choose.addWidget(self.folder_button, 1)
        choose.addWidget(self.refresh_button)
        walk.addWidget(self.previous_button)
        walk.addWidget(self.next_button, 1)
        layout.addWidget(self.folder)
        layout.addLayout(choose)
        layout.addWidget(self.progress)
        layout.addLayout(walk)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.only_open)
        layout.addWidget(self.continue_button)
        layout.addWidget(self.by_folder)
        self.fill(layout)

    def refresh(self) -> None:
        """Show the list and what is being done."""
        studies, worklist = self.studies, self.studies.worklist
        text = study_messages.NO_FOLDER if worklist is None else worklist.folder.name
        self.folder.setText(studies.busy or text)
        self.folder.setToolTip("" if worklist is None else str(worklist.folder))
        self._show_progress()
        listed = studies.listed
        self._ids = [one.study.id for one in listed]
        self.table.setRowCount(len(listed))
        for number, one in enumerate(listed):
            for column, text in enumerate(study_messages.row(one)):
                item = self.table.item(number, column)
                if item is None:
                    item = QTableWidgetItem()
                    self.table.setItem(number, column, item)
                item.setText(text)
                item.setToolTip(text if column else one.study.id)
                font = item.font()
                font.setBold(one.study.id == studies.current)
                font.setStrikeOut(one.missing)
                item.setFont(font)
        shown = studies.current
        if shown is None and worklist is not None and not self.table.selectedItems():
            shown = worklist.remembered()
        if shown in self._ids:
            row = self._ids.index(shown)
            self.table.selectRow(row)
            if shown != self._scrolled_to:
                self._scrolled_to = shown
                self.table.scrollToItem(
                    self.table.item(row, 0), QAbstractItemView.ScrollHint.PositionAtCenter
                )
        for one_button in (self.next_button, self.previous_button, self.refresh_button):
            one_button.setEnabled(worklist is not None and not studies.busy)
        self.folder_button.setEnabled(not studies.busy)

    def choose(self, folder: str) -> None:
        """List the studies of a folder."""
        self.attempt(lambda: self.studies.choose_folder(Path(folder)))

    def _show_progress(self) -> None:
        worklist = self.studies.worklist
        self.progress.setVisible(worklist is not None)
        if worklist is not None:
            accepted, total = worklist.progress
            self.progress.setRange(0, max(total, 1))
            self.progress.setValue(accepted)
            self.progress.setFormat(study_messages.progress_text(worklist))

    def _ask_folder(self) -> None:
        start = self.viewer_state.preferences.worklist
        folder = QFileDialog.getExistingDirectory(self, "Folder of studies", start)
        if folder:
            self.choose(folder)

    def _on_row(self, row: int, _column: int) -> None:
        self.attempt(lambda: self.studies.open(self._ids[row]))

    def _on_only_open(self, only_open: bool) -> None:
        self.studies.only_open = only_open
        self.refresh()

    def _on_by_folder(self, by_folder: bool) -> None:
        self.viewer_state.preferences.name_by_folder = by_folder
