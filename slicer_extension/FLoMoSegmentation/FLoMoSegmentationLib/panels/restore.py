"""What was not saved when a program ended: offered above everything else, until it is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import parameters
from FLoMoSegmentationLib.restoring import bring_back
from napari_flomo.corrections import Leftover, discard, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.session import messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.widget import Widget


class RestorePanel:
    """Restore or discard; hidden as long as nothing was left behind.

    Parameters
    ----------
    ui
        Widgets of ``Restore.ui`` by name.
    host
        The whole module.
    """

    def __init__(self, ui: Any, host: Widget) -> None:
        self.ui = ui
        self.host = host
        self._left: Leftover | None = None
        ui.restoreButton.connect("clicked(bool)", self.on_restore)
        ui.discardButton.connect("clicked(bool)", self.on_discard)
        self.refresh()

    def refresh(self) -> None:
        """Look for what was left behind, and offer the latest of it."""
        text = ""
        self._left = None
        try:
            left = unfinished()
        except FlomoError as error:
            text = str(error)
        else:
            if left:
                self._left = left[0]
                text = messages.leftover_text(left[0], len(left) - 1)
        self.ui.restoreBox.setVisible(bool(text))
        self.ui.restoreLine.setText(text)
        for button in (self.ui.restoreButton, self.ui.discardButton):
            button.setEnabled(self._left is not None)

    def on_restore(self, _checked: bool = False) -> None:
        """Bring it back into the scene and choose its image."""
        if self._left is None:
            return
        node = self.host.parameter_node()
        try:
            entry, found = bring_back(self.host.logic, self._left, parameters.image(node))
        except FlomoError as error:
            self.ui.restoreLine.setText(str(error))
            return
        parameters.choose_image(node, entry.source.node)
        self.refresh()
        self.host.refresh()
        image = self.host.logic.session.image(entry.key)
        lacks = image.segmentation is None or not image.segmentation.uncertainty
        hint = " The uncertainty was not kept: Compute under Review brings it back."
        text = messages.restored_text(found) + (hint if lacks else "")
        self.host.segment.say(text, "warning" if found.lost else "info")

    def on_discard(self, _checked: bool = False) -> None:
        """Remove it for good, and offer the next."""
        if self._left is None:
            return
        try:
            discard(self._left.folder)
        except FlomoError as error:
            self.ui.restoreLine.setText(str(error))
        else:
            self.refresh()
