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


class CloseGuard(QObject):
    """Asks before a window closes during a training, without keeping a reference to the window.

    ``learning`` returns the state of the training, or None if there is nothing to ask.
    """

    def __init__(
        self, window: QWidget, learning: Callable[[], Learning | None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._learning = learning
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Ask before the window closes, if a training runs."""
        if isinstance(watched, QWidget) and event.type() == QEvent.Type.Close:
            learning = self._learning()
            if learning is not None and learning.running:
                answer = ask(watched)
                if answer == STAY:
                    event.ignore()
                    return True
                learning.close(stop=answer == STOP)
        return bool(super().eventFilter(watched, event))
