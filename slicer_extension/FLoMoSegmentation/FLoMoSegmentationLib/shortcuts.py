"""Keyboard shortcuts of the module: those of the Segment Editor, and an Undo that knows more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

UNDO_KEYS = ("Ctrl+Z", "Z")
"""Those of the Segment Editor. Qt reads Ctrl as Command on macOS."""


class Shortcuts:
    """Installs the shortcuts of the Segment Editor, with another function for its Undo.

    Parameters
    ----------
    editor
        The Segment Editor widget.
    undo
        Called in place of the editor's Undo.
    """

    def __init__(self, editor: Any, undo: Callable[[], None]) -> None:
        self._editor = editor
        self._undo = undo
        self._own: list[Any] = []

    def install(self) -> None:
        """Install the shortcuts in Slicer's main window."""
        self.uninstall()
        self._editor.installKeyboardShortcuts()
        window = slicer.util.mainWindow()
        if window is None:  # Slicer without a window
            return
        keys = [qt.QKeySequence(key).toString() for key in UNDO_KEYS]
        for child in window.children():
            # Two active shortcuts with one key would be ambiguous, and neither would be called.
            if child.className() == "QShortcut" and child.key.toString() in keys:
                child.setEnabled(False)
        for key in UNDO_KEYS:
            shortcut = qt.QShortcut(window)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.connect("activated()", self._undo)
            self._own.append(shortcut)

    def uninstall(self) -> None:
        """Remove the shortcuts."""
        self._editor.uninstallKeyboardShortcuts()
        for shortcut in self._own:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._own.clear()
