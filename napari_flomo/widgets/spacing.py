"""Millimetres for an image that does not know any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume
from napari_flomo.widgets.layers import KEY, geometry_of_layer

if TYPE_CHECKING:
    from napari_flomo.widgets.entries import Entry
    from napari_flomo.widgets.viewer_state import ViewerState


class SpacingRow(QWidget):
    """Asks for the size of a voxel; hidden while the image knows it."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = viewer_state
        self._entry: Entry | None = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Voxel, mm"))
        self.boxes = []
        for axis, value in (("slices", 8.0), ("rows", 1.5), ("columns", 1.5)):
            box = QDoubleSpinBox()
            box.setRange(0.01, 100)
            box.setDecimals(3)
            box.setValue(value)
            box.setToolTip(f"Millimetres from one of the {axis} to the next")
            layout.addWidget(box, 1)
            self.boxes.append(box)
        self.button = QPushButton("Set")
        self.button.setToolTip("Give the image this voxel size, as the layer's scale")
        self.button.clicked.connect(self.apply)
        layout.addWidget(self.button)
        self.setVisible(False)

    def show_for(self, entry: Entry | None) -> None:
        """Show the row if an image needs it."""
        self._entry = entry
        self.setVisible(entry is not None and not _known(entry))
        if entry is not None:
            self.boxes[0].setVisible(entry.image.ndim > 2)

    def apply(self) -> None:
        """Put the numbers into the scale of the layer."""
        if self._entry is None:
            return
        image = self._entry.image
        steps = [box.value() for box in self.boxes][-min(image.ndim, 3) :]
        image.scale = (*image.scale[: -len(steps)], *steps)
        self._desk.current_changed.emit()


def _known(entry: Entry) -> bool:
    image = entry.image
    volume = image.metadata.get(KEY)
    if isinstance(volume, Volume) and volume.geometry.spacing_known:
        return True
    try:
        return image.rgb or geometry_of_layer(image).spacing_known
    except FlomoError:
        return True  # something else is wrong, and said where the image is described
