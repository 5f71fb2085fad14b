"""The button that accepts the slice on the screen."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QPushButton

from napari_flomo.session import SliceIndex, messages


class AcceptButton(QPushButton):
    """Accepts the slice that was on the screen when the button was pressed.

    A double click counts once: when its second press lands, the next slice is on the screen.

    Parameters
    ----------
    position
        Returns the slice on the screen.
    accept
        Called with the slice that the user meant.
    """

    def __init__(
        self,
        position: Callable[[], SliceIndex | None],
        accept: Callable[[SliceIndex | None], object],
    ) -> None:
        super().__init__()
        self._position = position
        self._seen: SliceIndex | None = None
        self.pressed.connect(self._on_pressed)
        self.clicked.connect(lambda: accept(self._seen))
        self.show_state(accepted=False)

    def show_state(self, *, accepted: bool) -> None:
        """Show what a click does: accept the slice, or take that back."""
        title, tip = messages.TAKE_BACK if accepted else messages.ACCEPT
        self.setText(title)
        self.setToolTip(f"{tip} (A)")

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Ignore the second press of a double click."""
        event.accept()

    def _on_pressed(self) -> None:
        self._seen = self._position()
