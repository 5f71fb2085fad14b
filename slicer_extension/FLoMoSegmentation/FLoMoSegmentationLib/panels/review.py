"""The Review and Correct sections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer

from FLoMoSegmentationLib import parameters, segment_edits, slice_views
from FLoMoSegmentationLib.panels.base import Panel
from FLoMoSegmentationLib.panels.message_line import MessageLine
from FLoMoSegmentationLib.panels.queue import QueuePanel
from FLoMoSegmentationLib.panels.uncertainty import UncertaintyPanel
from napari_flomo.session import (
    CorrectionKept,
    Event,
    LabelsChanged,
    PhasesChanged,
    ReviewChanged,
    SliceIndex,
    can_learn_study,
    listed,
    messages,
    progress_text,
    suggestion_messages,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost
    from napari_flomo.measures import Flag
    from napari_flomo.session import Review, SliceState

EDITOR_TAG = "FLoMoSegmentation"


class ReviewPanel(Panel):
    """Slices in the order of uncertainty, and the Segment Editor."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self.slices: tuple[SliceIndex, ...] = ()
        self._shown: tuple[Review, tuple[SliceIndex, ...]] | None = None
        self._progress: list[tuple[SliceState, int]] = []
        table = ui.reviewTable
        table.setColumnCount(len(messages.REVIEW_COLUMNS))
        table.setHorizontalHeaderLabels([title for title, _tip in messages.REVIEW_COLUMNS])
        table.setToolTip(messages.REVIEW_TIP)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(len(messages.REVIEW_COLUMNS) - 1, qt.QHeaderView.Stretch)
        table.connect("cellClicked(int,int)", self.on_row)
        table.connect("customContextMenuRequested(QPoint)", self.on_menu)
        self.flags: tuple[Flag, ...] = ()
        ui.flagList.connect("currentRowChanged(int)", self.on_flag)
        ui.contours.setChecked(host.logic.presenter.contours)
        ui.contours.connect("toggled(bool)", host.logic.presenter.show_contours)
        self.queue = QueuePanel(ui, host)
        self.message = MessageLine(ui.reviewMessage, ui.reviewMessageButton, host.board)
        ui.nextButton.connect("clicked(bool)", self.on_next)
        ui.previousButton.connect("clicked(bool)", self.on_previous)
        ui.acceptButton.connect("pressed()", self.on_pressed)
        ui.acceptButton.connect("clicked(bool)", self.on_accept)
        title, tip = suggestion_messages.LEARN_STUDY
        ui.learnStudyButton.setText(title)
        ui.learnStudyButton.setToolTip(tip)
        ui.learnStudyButton.connect("clicked(bool)", self.on_learn_study)
        self.ignore_double_click = DoubleClickFilter()
        ui.acceptButton.installEventFilter(self.ignore_double_click)
        self.seen: SliceIndex | None = None
        self.uncertainty = UncertaintyPanel(ui, host)
        host.logic.session.subscribe(self.on_event)

    def refresh(self) -> None:
        """Show review and labels of the chosen image."""
        current = self.host.current
        results = None if current is None else current.results
        for button in (self.ui.nextButton, self.ui.previousButton, self.ui.acceptButton):
            button.setEnabled(results is not None)
        self.refresh_editor()
        self.fill_table()
        self.uncertainty.refresh()

    def fill_table(self) -> None:
        """List the slices that the user reviews."""
        current, table = self.host.current, self.ui.reviewTable
        self.queue.refresh()
        review = None if current is None else self.host.logic.session.image(current.key).review
        self.update_accept_button()
        self.ui.progressLine.setVisible(review is not None)
        self.ui.learnStudyButton.setEnabled(
            current is not None and can_learn_study(self.host.logic.session.image(current.key))
        )
        if current is None or review is None:
            self.slices, self._shown = (), None
            table.setRowCount(0)
            self.show_flags((), False)
            return
        image = self.host.logic.session.image(current.key)
        self.ui.progressLine.setText(progress_text(image))
        self.slices = listed(image)
        table.setRowCount(len(self.slices))
        self.fill_rows(review, current.nodes.n_frames > 1)
        if review.current in self.slices:
            table.selectRow(self.slices.index(review.current))
        self.show_flags(self.host.logic.session.flags(current.key), current.nodes.n_frames > 1)

    def fill_rows(self, review: Review, moving: bool) -> None:
        """Write the rows that changed: a cine has hundreds, and a step changes one or two."""
        table, progress = self.ui.reviewTable, review.progress(self.slices)
        known = self._progress if self._shown == (review, self.slices) else []
        self._shown, self._progress = (review, self.slices), progress
        for row, index in enumerate(self.slices):
            if row < len(known) and known[row] == progress[row]:
                continue
            for column, text in enumerate(messages.review_row(review, index, moving)):
                item = table.item(row, column)
                if item is None:
                    table.setItem(row, column, qt.QTableWidgetItem(text))
                else:
                    item.setText(text)

    def show_flags(self, flags: tuple[Flag, ...], moving: bool) -> None:
        """List what contradicts anatomy; ``moving`` if the image has frames."""
        rows = self.ui.flagList
        rows.setVisible(bool(flags))
        if flags == self.flags:
            return
        self.flags = ()  # a row that is added becomes the current one
        rows.clear()
        for flag in flags:
            rows.addItem(qt.QListWidgetItem(flag.line(first=1, moving=moving)))
        rows.setCurrentRow(-1)
        self.flags = flags

    def update_accept_button(self) -> None:
        """Show what a click does: accept the slice on the screen, or take that back."""
        current = self.host.current
        review = None if current is None else self.host.logic.session.image(current.key).review
        accepted = review is not None and review.is_accepted(self._slice_on_screen())
        title, tip = messages.TAKE_BACK if accepted else messages.ACCEPT
        if self.ui.acceptButton.text != title:
            self.ui.acceptButton.setText(title)
            self.ui.acceptButton.setToolTip(tip)

    def refresh_editor(self) -> None:
        """Open the labels of the chosen image in the Segment Editor."""
        current, editor = self.host.current, self.ui.editor
        node = None if current is None else current.segmentation
        editor.setMRMLSegmentEditorNode(segment_editor_node())
        if editor.segmentationNode() is not node:  # else the active effect would end
            editor.setSegmentationNode(node)
        if current is not None and node is not None:
            editor.setSourceVolumeNode(current.nodes.volume)

    # Actions of the user

    def on_row(self, row: int, _column: int = 0) -> None:
        """Go to the slice of a row."""
        index = self.slices[row]
        self._step(lambda key: self.host.logic.presenter.go_to(key or "", index))

    def on_flag(self, row: int) -> None:
        """Go to the slice of a flag."""
        flag = self.flags[row] if 0 <= row < len(self.flags) else None
        if flag is not None and flag.frame is not None and flag.slice is not None:
            index = SliceIndex(flag.frame, flag.slice)
            self._step(lambda key: self.host.logic.presenter.go_to(key or "", index))

    def on_menu(self, place: Any) -> None:
        """Go to the slice under the mouse, and offer to accept it or to take that back."""
        table = self.ui.reviewTable
        row = table.rowAt(place.y())
        if not 0 <= row < len(self.slices):
            return
        self.seen = self.slices[row]
        self.on_row(row)
        menu = qt.QMenu(table)
        menu.setAttribute(qt.Qt.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        action = menu.addAction(self.ui.acceptButton.text)
        action.setToolTip(self.ui.acceptButton.toolTip)
        action.connect("triggered(bool)", self.on_accept)
        menu.popup(table.viewport().mapToGlobal(place))

    def on_next(self, _checked: bool = False) -> None:
        """Go to the next slice of the review."""
        self._step(self.host.logic.presenter.next)

    def on_previous(self, _checked: bool = False) -> None:
        """Go to the previous slice of the review."""
        self._step(self.host.logic.presenter.previous)

    def on_undo(self) -> None:
        """Take back the last acceptance; if the labels were changed since, undo that."""

        def undo(key: str | None) -> None:
            if not self.host.logic.presenter.undo_accept(key):
                self.ui.editor.undo()

        self._step(undo)

    def on_pressed(self) -> None:
        """Remember which slice the user saw when the button was pressed."""
        self.seen = self._slice_on_screen()

    def on_accept(self, _checked: bool = False) -> None:
        """Accept the slice on the screen and go to the next one, or take that back."""
        self._step(lambda key: self.host.logic.presenter.accept(key, self.seen))
        current = self.host.current
        if current is None:
            return
        names = segment_edits.unknown_segments(self.host.logic.session, current)
        if names:
            self.host.say(
                f"{', '.join(names)}: not a structure of this model, so not part of the "
                "correction.",
                "warning",
            )

    def on_learn_study(self, _checked: bool = False) -> None:
        """Suggest labels learnt from the accepted slices."""
        device = parameters.read(self.host.parameter_node()).device
        self.host.acted()
        self._step(lambda key: self.host.logic.presenter.learn_study(key, device))

    def on_event(self, event: Event) -> None:
        """Update the table, or the number of corrections in the store."""
        if isinstance(event, LabelsChanged | PhasesChanged | ReviewChanged):
            if self.host.current is not None and event.key == self.host.current.key:
                self.fill_table()
        elif isinstance(event, CorrectionKept):
            self.ui.keptLine.setText(messages.kept_text(event))

    def _slice_on_screen(self) -> SliceIndex | None:
        current = self.host.current
        return None if current is None else slice_views.slice_on_screen(current.nodes)

    def _step(self, action: Callable[[str | None], object]) -> None:
        def step() -> None:
            current = self.host.current
            action(None if current is None else current.key)
            self.fill_table()

        self.attempt(step)


class DoubleClickFilter(qt.QWidget):
    """Ignores the second press of a double click: the next slice is on the screen by then."""

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Return True for an event that the button is not to get."""
        return bool(event.type() == qt.QEvent.MouseButtonDblClick)


def segment_editor_node() -> Any:
    """Return the module's own segment editor node, which is added if missing."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(EDITOR_TAG)
        # A voxel belongs to one structure: painting one removes it from the others.
        node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments)
        node = scene.AddNode(node)
    return node
