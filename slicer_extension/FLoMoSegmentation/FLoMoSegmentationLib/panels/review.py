"""The Review, Correct and Measures sections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer

from FLoMoSegmentationLib import strokes
from FLoMoSegmentationLib.panels.uncertainty import UncertaintyPanel
from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    CorrectionKept,
    Event,
    LabelsChanged,
    ReviewChanged,
    SliceIndex,
    messages,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.scene_image import SceneImage
    from FLoMoSegmentationLib.widget import Widget

EDITOR_TAG = "FLoMoSegmentation"


class ReviewPanel:
    """Slices in the order of uncertainty, Slicer's own Segment Editor, and what the labels measure.

    Parameters
    ----------
    ui
        Widgets of ``Review.ui`` by name.
    host
        The whole module.
    """

    def __init__(self, ui: Any, host: Widget) -> None:
        self.ui = ui
        self.host = host
        self.slices: tuple[SliceIndex, ...] = ()
        table = ui.reviewTable
        table.setColumnCount(len(messages.REVIEW_COLUMNS))
        table.setHorizontalHeaderLabels([title for title, _tip in messages.REVIEW_COLUMNS])
        table.connect("cellClicked(int,int)", self.on_row)
        ui.nextButton.connect("clicked(bool)", self.on_next)
        ui.previousButton.connect("clicked(bool)", self.on_previous)
        ui.acceptButton.connect("clicked(bool)", self.on_accept)
        self.uncertainty = UncertaintyPanel(ui, host)
        host.logic.session.subscribe(self.on_event)

    def refresh(self) -> None:
        """Show the review, the labels and the measures of the image that is chosen."""
        entry = self.host.entry
        record = None if entry is None else entry.record
        for button in (self.ui.nextButton, self.ui.previousButton, self.ui.acceptButton):
            button.setEnabled(record is not None)
        self.show_editor(entry)
        self.ui.measuresView.setMRMLTableNode(None if record is None else record.table)
        self.fill_table()
        self.uncertainty.refresh()

    def fill_table(self) -> None:
        """Show the slices, the most uncertain first."""
        entry, table = self.host.entry, self.ui.reviewTable
        review = None
        if entry is not None:
            review = self.host.logic.session.image(entry.key).review
        self.slices = () if review is None else review.order
        table.setRowCount(len(self.slices))
        for row, index in enumerate(self.slices):
            assert review is not None
            assert entry is not None
            texts = messages.review_row(review, index, entry.source.n_frames > 1)
            for column, text in enumerate(texts):
                item = table.item(row, column)
                if item is None:
                    table.setItem(row, column, qt.QTableWidgetItem(text))
                else:
                    item.setText(text)
        if review is not None and review.current in self.slices:
            table.selectRow(self.slices.index(review.current))

    def show_editor(self, entry: SceneImage | None) -> None:
        """Open the labels of an image in the Segment Editor."""
        editor = self.ui.editor
        node = None if entry is None or entry.record is None else entry.record.segmentation
        editor.setMRMLSegmentEditorNode(editor_node())
        editor.setSegmentationNode(node)
        if node is not None and entry is not None:
            editor.setSourceVolumeNode(entry.source.node)

    # What the user does

    def on_row(self, row: int, _column: int = 0) -> None:
        """Go to the slice of a row."""
        index = self.slices[row]
        self._step(lambda key: self.host.logic.presenter.go_to(key or "", index))

    def on_next(self, _checked: bool = False) -> None:
        """Go to the next uncertain slice."""
        self._step(self.host.logic.presenter.next)

    def on_previous(self, _checked: bool = False) -> None:
        """Go back in the review."""
        self._step(self.host.logic.presenter.previous)

    def on_accept(self, _checked: bool = False) -> None:
        """Accept the slice on the screen and go on."""
        self._step(self.host.logic.presenter.accept)
        entry = self.host.entry
        if entry is None or entry.record is None:
            return
        others = strokes.unknown_segments(self.host.logic.session, entry)
        if others:
            self.host.segment.say(
                f"{', '.join(others)}: no structure of this model, so it is not kept for learning.",
                "warning",
            )

    # What the session tells

    def on_event(self, event: Event) -> None:
        """Follow review and labels."""
        if isinstance(event, LabelsChanged | ReviewChanged):
            if self.host.entry is not None and event.key == self.host.entry.key:
                self.fill_table()
        elif isinstance(event, CorrectionKept):
            self.ui.keptLine.setText(messages.kept_text(event))

    def _step(self, action: Callable[[str | None], object]) -> None:
        entry = self.host.entry
        try:
            action(None if entry is None else entry.key)
        except FlomoError as error:
            self.host.segment.say(str(error), "warning")
        else:
            self.fill_table()


def editor_node() -> Any:
    """Return the state of our Segment Editor, apart from that of Slicer's own module."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(EDITOR_TAG)
        # A voxel belongs to one structure: painting one takes it from the others.
        node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments)
        node = scene.AddNode(node)
    return node
