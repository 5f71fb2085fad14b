"""What was not saved when a program ended: offered above everything else, until it is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from FLoMoSegmentationLib.widget import Widget
    from napari_flomo.session import Message


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
        self._message: Message | None = None
        ui.restoreButton.connect("clicked(bool)", self.on_restore)
        ui.discardButton.connect("clicked(bool)", self.on_discard)
        self.refresh()

    def refresh(self) -> None:
        """Look for what was left behind, and offer the latest of it."""
        message = self._message = self.host.logic.presenter.unsaved_message()
        self.ui.restoreBox.setVisible(message is not None)
        self.ui.restoreLine.setText("" if message is None else message.text)
        for button in (self.ui.restoreButton, self.ui.discardButton):
            button.setEnabled(message is not None and bool(message.choices))

    def on_restore(self, _checked: bool = False) -> None:
        """Restore it in the scene."""
        self._choose(0)

    def on_discard(self, _checked: bool = False) -> None:
        """Remove it for good, and offer the next."""
        self._choose(1)

    def _choose(self, number: int) -> None:
        if self._message is not None and self._message.choices:
            self._message.choices[number].action()
            self.refresh()
