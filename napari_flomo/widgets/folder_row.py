"""A folder that may be chosen, or not."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget


class FolderRow(QWidget):
    """A line for a folder, with a button that opens the system's dialog.

    Parameters
    ----------
    title
        Of the dialog.
    empty
        What is shown while nothing is chosen.
    tip
        Tooltip.
    changed
        Called with the folder, as text, whenever it is another one; empty for none.
    """

    def __init__(
        self,
        title: str,
        empty: str,
        tip: str,
        changed: Callable[[str], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._title = title
        self._changed = changed
        self.line = QLineEdit()
        self.line.setPlaceholderText(empty)
        self.line.setToolTip(tip)
        self.line.editingFinished.connect(lambda: self._changed(self.folder))
        self.button = QPushButton("…")
        self.button.setFixedWidth(32)
        self.button.setToolTip(f"{title}: look for the folder")
        self.button.clicked.connect(self._ask)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.button)

    @property
    def folder(self) -> str:
        """What is chosen; empty for nothing."""
        return str(self.line.text()).strip()

    def show_folder(self, folder: str) -> None:
        """Show a folder without telling that it changed."""
        self.line.setText(folder)

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self._title, self.folder)
        if folder:
            self.line.setText(folder)
            self._changed(folder)
