"""The offer to restore unsaved changes after a crash, at the top of the module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib.panels.base import Panel

if TYPE_CHECKING:
    from FLoMoSegmentationLib.panels.base import PanelHost
    from napari_flomo.session import Message


class RestorePanel(Panel):
    """Restore or Discard; hidden if there are no unsaved changes."""

    def __init__(self, ui: Any, host: PanelHost) -> None:
        super().__init__(ui, host)
        self._message: Message | None = None
        ui.restoreButton.connect("clicked(bool)", self.on_restore)
        ui.discardButton.connect("clicked(bool)", self.on_discard)
        self.refresh()

    def refresh(self) -> None:
        """Offer the latest unsaved changes."""
        message = self._message = self.host.logic.presenter.unsaved_message()
        self.ui.restoreBox.setVisible(message is not None)
        self.ui.restoreLine.setText("" if message is None else message.text)
        for button in (self.ui.restoreButton, self.ui.discardButton):
            button.setEnabled(message is not None and bool(message.choices))

    def on_restore(self, _checked: bool = False) -> None:
        """Restore the changes in the scene."""
        self._choose(0)

    def on_discard(self, _checked: bool = False) -> None:
        """Delete the changes and offer the next ones."""
        self._choose(1)

    def _choose(self, number: int) -> None:
        if self._message is not None and self._message.choices:
            self._message.choices[number].action()
            self.refresh()
