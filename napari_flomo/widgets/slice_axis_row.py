"""Along which axis the slices lie, for an image that does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from napari_flomo.errors import FlomoError
from napari_flomo.session import messages
from napari_flomo.widgets.layers import layout_of

if TYPE_CHECKING:
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.entries import Entry
    from napari_flomo.widgets.viewer_state import ViewerState


class SliceAxisRow(QWidget):
    """Asks for the slice axis; hidden where steps and lengths of the axes tell it."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = viewer_state
        self._entry: Entry | None = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Slices along"))
        self.choice = QComboBox()
        self.choice.setToolTip(
            "The axis from slice to slice: i is the last axis of the layer's data, k the third "
            "from last"
        )
        self.choice.activated.connect(lambda _: self.apply())
        layout.addWidget(self.choice, 1)
        self.setVisible(False)

    def show_for(self, entry: Entry | None) -> None:
        """Show the row if an image needs it."""
        self._entry = entry
        unclear = None if entry is None else _unclear(entry)
        self.setVisible(unclear is not None)
        if entry is None or unclear is None:
            return
        self.choice.clear()
        self.choice.addItem(messages.SLICE_AXIS_PROMPT, None)
        for name, title in messages.slice_axis_choices(unclear).items():
            self.choice.addItem(title, name)
        self.choice.setCurrentIndex(max(self.choice.findData(entry.slice_axis), 0))

    def apply(self) -> None:
        """Take the choice for the image, as long as it is open."""
        if self._entry is not None:
            self._entry.slice_axis = self.choice.currentData()
            self._desk.current_changed.emit()


def _unclear(entry: Entry) -> Volume | None:
    """Return the layout of an image whose slice axis is not clear, else None."""
    try:
        layout = layout_of(entry.image)
    except FlomoError:  # said where the image is described
        return None
    return None if layout.slice_axis_known else layout
