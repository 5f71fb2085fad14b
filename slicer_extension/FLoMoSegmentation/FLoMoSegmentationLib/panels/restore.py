"""The list of unsaved changes after crashes, at the top of the module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt

from FLoMoSegmentationLib import progress_bar
from FLoMoSegmentationLib.panels.base import Panel
from napari_flomo.session import (
    RestoreEnded,
    RestoreProgressed,
    UnsavedFound,
    unsaved_messages,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from FLoMoSegmentationLib.panels.base import PanelHost
    from napari_flomo.session import Event, UnsavedWork


class RestorePanel(Panel):
    """A row for each image, with Restore and Discard; hidden if there are no unsaved changes."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self.works: Sequence[UnsavedWork] = ()
        ui.restoreBox.setToolTip(unsaved_messages.UNSAVED_TIP)
        for button, (title, tip) in (
            (ui.restoreButton, unsaved_messages.RESTORE),
            (ui.discardButton, unsaved_messages.DISCARD),
            (ui.restoreCancelButton, unsaved_messages.STOP_RESTORING),
        ):
            button.setText(title)
            button.setToolTip(tip)
        ui.restoreButton.connect("clicked(bool)", self.on_restore)
        ui.discardButton.connect("clicked(bool)", self.on_discard)
        ui.restoreCancelButton.connect("clicked(bool)", self.on_cancel)
        host.logic.session.subscribe(self.on_event)
        self.show_works(())
        self.show_working(False)
        self.refresh()

    def refresh(self) -> None:
        """List unsaved changes again."""
        self.host.logic.presenter.unsaved.find()
        self.host.poll_often()

    def on_restore(self, _checked: bool = False) -> None:
        """Restore the selected changes in the scene."""
        unsaved, row = self.host.logic.presenter.unsaved, self.ui.restoreList.currentRow
        self.attempt(lambda: unsaved.restore(self.works[row]))
        self.host.poll_often()

    def on_discard(self, _checked: bool = False) -> None:
        """Ask whether to delete the selected changes."""
        self.host.logic.presenter.unsaved.discard(self.works[self.ui.restoreList.currentRow])

    def on_cancel(self, _checked: bool = False) -> None:
        """Stop restoring."""
        restoring = self.host.logic.presenter.unsaved.restoring
        if restoring is not None:
            progress_bar.stop(self.ui.restoreProgress)
            restoring.cancel()

    def on_event(self, event: Event) -> None:
        """Show what was found, and how far a restore is."""
        if isinstance(event, UnsavedFound):
            self.show_works(event.works)
        elif isinstance(event, RestoreProgressed):
            progress_bar.show(self.ui.restoreProgress, event.progress)
            self.show_working(True)
        elif isinstance(event, RestoreEnded):
            self.show_working(False)

    def show_works(self, works: Sequence[UnsavedWork]) -> None:
        """List unsaved changes, and select the latest."""
        self.works, rows = works, self.ui.restoreList
        rows.clear()
        for work in works:
            picture = qt.QPixmap()
            picture.loadFromData(work.picture)
            text = "\n".join(unsaved_messages.unsaved_lines(work.journal))
            rows.addItem(qt.QListWidgetItem(qt.QIcon(picture), text))
        rows.setCurrentRow(0 if works else -1)
        self.ui.restoreBox.setVisible(bool(works))

    def show_working(self, working: bool) -> None:
        """Show progress and Cancel instead of Restore and Discard."""
        for widget in (self.ui.restoreProgress, self.ui.restoreCancelButton):
            widget.setVisible(working)
        for widget in (self.ui.restoreButton, self.ui.discardButton, self.ui.restoreList):
            widget.setEnabled(not working)
