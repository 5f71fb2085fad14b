"""Work from other threads, done in the thread of the window."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, Signal, Slot


class Marshal(QObject):
    """Calls functions in the thread it was made in, when that comes to it.

    Workers and background writers report from threads of their own, where no widget may be touched.
    """

    _handed_over = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._handed_over.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def __call__(self, function: Callable[[], None]) -> None:
        """Hand a function over; may be called from any thread."""
        try:
            self._handed_over.emit(function)
        except RuntimeError:  # the window is gone, and with it the reason to answer
            return

    @Slot(object)
    def _run(self, function: Callable[[], None]) -> None:
        function()
