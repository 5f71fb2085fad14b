"""Timers that fire once after a delay."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


def delayed(parent: QObject, milliseconds: int, action: Callable[[], None]) -> QTimer:
    """Return a timer that calls ``action`` once after every start."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer
