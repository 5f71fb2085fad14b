"""Call functions from other threads in the thread of the window."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, Signal, Slot


class MainThread(QObject):
    """Calls functions in the thread in which it was created.

    Workers and background writers report from their own threads, where widgets must not be used.
    """

    _handed_over = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._handed_over.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def __call__(self, function: Callable[[], None]) -> None:
        """Have a function called; may be used from any thread."""
        try:
            self._handed_over.emit(function)
        except RuntimeError:  # the window was closed
            return

    @Slot(object)
    def _run(self, function: Callable[[], None]) -> None:
        function()
