"""List of what contradicts anatomy in the labels; a click goes there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_flomo.session import SliceIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_flomo.measures import Flag

ROWS_SHOWN = 4


class FlagList(QListWidget):
    """Hidden while there is no flag."""

    chosen = Signal(object)
    """The `SliceIndex` of a flag that was clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Labels to check")
        self.setToolTip("Labels that contradict anatomy; click one to go there")
        self.setWordWrap(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemClicked.connect(self._on_item)
        self.itemActivated.connect(self._on_item)
        self.setVisible(False)

    def show_flags(self, flags: Sequence[Flag], moving: bool) -> None:
        """Show flags; ``moving`` if the image has frames."""
        texts = [flag.line(first=1, moving=moving) for flag in flags]
        if texts != [self.item(row).text() for row in range(self.count())]:
            self.clear()
            for flag, text in zip(flags, texts, strict=True):
                item = QListWidgetItem(text, self)
                item.setToolTip(text)
                if flag.frame is not None and flag.slice is not None:
                    place = SliceIndex(flag.frame, flag.slice)
                    item.setData(Qt.ItemDataRole.UserRole, place)
            rows = min(len(texts), ROWS_SHOWN)
            height = 2 * self.fontMetrics().lineSpacing() + 4  # two lines of text each
            self.setFixedHeight(rows * height + 2 * self.frameWidth())
        self.setVisible(bool(texts))

    def _on_item(self, item: QListWidgetItem) -> None:
        place = item.data(Qt.ItemDataRole.UserRole)
        if place is not None:
            self.chosen.emit(SliceIndex(*place))
