"""The Review panel: go through the slices, the most uncertain first, and accept them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QMenu, QVBoxLayout
from superqt import QElidingLabel

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import DICOM_SUFFIX
from napari_flomo.session import (
    ConventionsChanged,
    CorrectionKept,
    InsertionsChanged,
    LabelsChanged,
    LocksChanged,
    Message,
    PhasesChanged,
    ReviewChanged,
    RunFinished,
    SliceIndex,
    messages,
    progress_text,
    report_messages,
)
from napari_flomo.volumes import suffix_of
from napari_flomo.widgets import dicom_export, saving
from napari_flomo.widgets.accept_button import AcceptButton
from napari_flomo.widgets.cine_box import CineBox
from napari_flomo.widgets.compare_box import CompareBox
from napari_flomo.widgets.delayed import delayed
from napari_flomo.widgets.flag_list import FlagList
from napari_flomo.widgets.keys import bind
from napari_flomo.widgets.panels.panel import Panel, button, note
from napari_flomo.widgets.panels.study_learning import StudyLearning
from napari_flomo.widgets.panels.uncertainty_box import UncertaintyBox
from napari_flomo.widgets.report_dialog import ReportDialog
from napari_flomo.widgets.review_list import ReviewList
from napari_flomo.widgets.structures import Structures
from napari_flomo.widgets.tools_box import ToolsBox
from napari_flomo.widgets.uncertainty_plot import UncertaintyPlot
from napari_flomo.widgets.viewer_state import viewer_state_of
from napari_flomo.widgets.wall_button import WallButton
from napari_flomo.widgets.writer import write_layer

if TYPE_CHECKING:
    import napari.viewer

    from napari_flomo.session import Column, Event

SETTLE_MS = 150


class ReviewPanel(Panel):
    """Review the slices of the active image in the order of uncertainty."""

    name = "Review"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer_state_of(napari_viewer))
        self._build()
        bind(self.viewer_state)
        self.viewer_state.current_changed.connect(self.refresh)
        self.viewer_state.slice_changed.connect(self._on_moved)
        self.viewer_state.session_changed.connect(self._on_event)
        self.refresh()

    def _build(self) -> None:
        presenter = self.viewer_state.presenter
        self.title = QElidingLabel()
        self.plot = UncertaintyPlot()
        self.plot.clicked.connect(self._on_bar)
        self.list = ReviewList()
        self.list.chosen.connect(self._go_to)
        self.list.menu_wanted.connect(self._open_menu)
        self.list.sort_wanted.connect(self._sort)
        self.list.setMinimumHeight(150)
        walk = QHBoxLayout()
        self.previous_button, self.next_button = (
            button(text, tip, partial(self._step, step))
            for text, tip, step in (
                ("◀", "Previous slice of this list (Shift+N)", presenter.previous),
                ("Next ▶", "Next slice of this list, without accepting (N)", presenter.next),
            )
        )
        self.previous_button.setAccessibleName("Previous slice")
        self.accept_button = AcceptButton(self._slice_on_screen, self._accept)
        buttons = (self.previous_button, self.accept_button, self.next_button)
        for one, stretch in zip(buttons, (0, 2, 1), strict=True):
            walk.addWidget(one, stretch)
        self.flags = FlagList()
        self.flags.chosen.connect(self._go_to)
        self._later = delayed(self, SETTLE_MS, self._show_flags)
        self.kept = note(
            "Accepted slices are kept in your store of corrections, to be learnt from; see Learn"
        )
        self.kept.setVisible(False)
        self.learning = StudyLearning(self.viewer_state)
        self.uncertainty = UncertaintyBox(self.viewer_state)
        self.structures = Structures(self.viewer_state)
        self.tools = ToolsBox(self.viewer_state, self.attempt)
        self.cine = CineBox(self.viewer_state)
        self.compare = CompareBox(self.viewer_state)
        self.save_button = button(
            "Save labels…", "Save the labels on the exact grid of the image", self._ask_and_save
        )
        self.report_button = button(*report_messages.REPORT, self._report)
        self.wall_button = WallButton(self.viewer_state, self.attempt)
        layout = QVBoxLayout()
        layout.addWidget(self.title)
        layout.addWidget(self.plot)
        layout.addWidget(self.cine)
        layout.addLayout(walk)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.flags)
        layout.addWidget(self.kept)
        layout.addWidget(self.learning)
        for title, widget in (
            ("Structures", self.structures),
            ("Tools", self.tools),
            ("Uncertainty", self.uncertainty),
            ("Before and after", self.compare),
        ):
            box = QGroupBox(title)
            box.setToolTip(widget.toolTip() or title)
            QVBoxLayout(box).addWidget(widget)
            layout.addWidget(box)
        layout.addWidget(self.save_button)
        report = QHBoxLayout()
        report.addWidget(self.report_button, 2)
        report.addWidget(self.wall_button, 1)
        layout.addLayout(report)
        self.fill(layout)

    def refresh(self) -> None:
        """Show what is under review now."""
        image = self.viewer_state.current_image
        review = None if image is None else image.review
        if image is None or review is None:
            title = "Nothing to review yet: segment an image first."
        else:
            title = f"{progress_text(image)}: {image.name}"
        self.title.setText(title)
        self.title.setToolTip(title)
        self.list.show_review(image)
        for one in (self.previous_button, self.accept_button, self.next_button):
            one.setEnabled(review is not None)
        entry = self.viewer_state.current
        self.report_button.setEnabled(review is not None)
        self.wall_button.refresh()
        self.save_button.setEnabled(entry is not None and entry.labels is not None)
        self._show_kept()
        self._show_flags()
        self.tools.refresh()
        self.learning.refresh()
        self.uncertainty.refresh()
        self.compare.refresh()
        self._on_moved()

    def save(self, path: str, ending: str = ".nii.gz") -> None:
        """Save the labels of the current image; ``ending`` is added to a name without one.

        Raises `FlomoError` if there are none or they cannot be written.
        """
        entry = self.viewer_state.current
        if entry is None or entry.labels is None:
            raise FlomoError("There are no labels to save yet; segment an image first.")
        target = saving.complete(path, ending)
        if suffix_of(target) == DICOM_SUFFIX:
            dicom_export.export(self.viewer_state, entry, target)
        else:
            data, meta, _kind = entry.labels.as_layer_data_tuple()
            (written,) = write_layer(target, data, meta)
            text = messages.SAVED_TO.format(written)
            self.viewer_state.post(Message(text, key=self.viewer_state.key))

    def _step(self, step: Callable[[str | None], object], _clicked: bool = False) -> None:
        self.attempt(lambda: step(self.viewer_state.key))

    def _slice_on_screen(self) -> SliceIndex | None:
        entry = self.viewer_state.current
        return None if entry is None else self.viewer_state.position(entry)

    def _accept(self, seen: SliceIndex | None) -> None:
        self.attempt(lambda: self.viewer_state.presenter.accept(self.viewer_state.key, seen))

    def _open_menu(self, index: SliceIndex, at: QPoint) -> None:
        """Go to a slice and offer to accept it, or to take that back."""
        image = self.viewer_state.current_image
        if image is None or image.review is None:
            return
        self._go_to(index)
        accepted = image.review.is_accepted(index)
        title, tip = messages.TAKE_BACK if accepted else messages.ACCEPT
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        menu.addAction(title, lambda: self._accept(index)).setToolTip(tip)
        menu.popup(at)

    def _ask_and_save(self) -> None:
        entry = self.viewer_state.current
        name = "labels" if entry is None else f"{entry.image.name}_labels"
        path, ending = saving.ask_where(self, name)
        if path:
            self.attempt(lambda: self.save(path, ending))

    def _report(self) -> None:
        image, entry = self.viewer_state.current_image, self.viewer_state.current
        if image is not None and entry is not None and image.segmentation is not None:
            self.viewer_state.adapter.read_labels(image.key)
            dicom = image.volume.source.startswith("dicom-")
            series = (entry.image.source.path or "") if dicom else ""
            ReportDialog(self.viewer_state.presenter, image, self, series=series).open()

    def _go_to(self, index: SliceIndex) -> None:
        key = self.viewer_state.key
        if key is not None:
            self.attempt(lambda: self.viewer_state.presenter.go_to(key, index))

    def _sort(self, column: Column) -> None:
        image = self.viewer_state.current_image
        if image is not None:
            self.viewer_state.session.set_queue(image.key, image.queue.sorted_by(column))

    def _on_bar(self, slice_: int) -> None:
        entry = self.viewer_state.current
        if entry is not None:
            self._go_to(SliceIndex(self.viewer_state.position(entry).frame, slice_))

    def _on_moved(self) -> None:
        """Show the frame and slice on the screen in plot, list and sizes."""
        entry, image = self.viewer_state.current, self.viewer_state.current_image
        if entry is None or image is None or image.review is None or image.segmentation is None:
            self.plot.show_scores((), {}, None)
            self.accept_button.show_state(accepted=False)
        else:
            index, review = self.viewer_state.position(entry), image.review
            scores = image.segmentation.slice_scores[index.frame].tolist()
            states = {
                other.slice: review.state(other)
                for other in review.order
                if other.frame == index.frame
            }
            self.plot.show_scores(scores, states, index.slice)
            self.list.mark(index)
            self.accept_button.show_state(accepted=review.is_accepted(index))
        self.structures.refresh()
        self.cine.refresh()

    def _show_flags(self) -> None:
        """Show what contradicts anatomy in the labels, and their measures."""
        image = self.viewer_state.current_image
        flags = () if image is None else self.viewer_state.session.flags(image.key)
        self.flags.show_flags(flags, image is not None and image.volume.n_frames > 1)

    def _show_kept(self) -> None:
        """Show how many slices of the image are kept for learning, or why they are not."""
        image = self.viewer_state.current_image
        kept = None if image is None else image.kept
        self.kept.setVisible(kept is not None)
        self.kept.setText("" if kept is None else messages.kept_text(kept))

    def _on_event(self, event: Event) -> None:
        image = self.viewer_state.current_image
        if isinstance(event, ReviewChanged | RunFinished):
            self.refresh()
        elif isinstance(event, CorrectionKept):
            self._show_kept()
        elif isinstance(event, PhasesChanged):
            self.refresh()
        elif isinstance(event, ConventionsChanged):
            self.structures.refresh()
            self.cine.refresh()
            self._show_flags()
        elif isinstance(event, InsertionsChanged):
            self.wall_button.refresh()
        elif isinstance(event, LocksChanged):
            self.structures.refresh()
        elif isinstance(event, LabelsChanged) and image is not None and event.key == image.key:
            self.list.show_review(image)
            self.structures.refresh()
            self.cine.refresh()
            self._later.start()
