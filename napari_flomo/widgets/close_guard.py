"""Ask whether to stop a running training when a window closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from napari_flomo.session.learning import Learning

CONTINUE, STOP, STAY = "continue", "stop", "stay"


def ask(window: QWidget) -> str:
    """Ask what to do with the training; return `CONTINUE`, `STOP` or `STAY` (in the window)."""
    box = QMessageBox(window)
    box.setWindowTitle("A training is in progress")
    box.setText("A model is learning from your corrections.")
    box.setInformativeText(
        "It can continue without this window; the next window finds it again. If you stop it, "
        "you can resume it later."
    )
    buttons = {
        box.addButton("Continue in the background", QMessageBox.ButtonRole.AcceptRole): CONTINUE,
        box.addButton("Stop the training", QMessageBox.ButtonRole.DestructiveRole): STOP,
        box.addButton("Keep the window open", QMessageBox.ButtonRole.RejectRole): STAY,
    }
    box.exec()
    return buttons.get(box.clickedButton(), STAY)


def may_close(learning: Learning | None, window: QWidget) -> bool:
    """Return True if the window may close: no training runs, or the user has decided."""
    if learning is None or not learning.running:
        return True
    answer = ask(window)
    if answer != STAY:
        learning.close(stop=answer == STOP)
    return answer != STAY


class CloseGuard(QObject):
    """Asks before a window closes, without keeping a reference to the window.

    ``may_close`` gets the window and returns True if it may close.
    """

    def __init__(
        self, window: QWidget, may_close: Callable[[QWidget], bool], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._may_close = may_close
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Ask before the window closes."""
        if (
            isinstance(watched, QWidget)
            and event.type() == QEvent.Type.Close
            and not self._may_close(watched)
        ):
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))
