"""Before and after: what the network found, and what a person made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

from napari_flomo.session import LabelsChanged
from napari_flomo.widgets import results
from napari_flomo.widgets.layers import Grid

if TYPE_CHECKING:
    from napari_flomo.session import Event
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_state import ViewerState

OFF, CONTOURS, CHANGES = "off", "contours", "changes"
_CHOICES = (
    (OFF, "Nothing", "Only the labels as they are now"),
    (CONTOURS, "Network's contours", "Outlines of what the network found, above your labels"),
    (CHANGES, "My changes", "What you added, removed and changed"),
)
SETTLE_MS = 120


class CompareBox(QWidget):
    """Chooses what the labels are compared with."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = viewer_state
        self.choice = QComboBox()
        self.choice.setToolTip("Compare your labels with what the network found")
        for number, (name, title, tip) in enumerate(_CHOICES):
            self.choice.addItem(title, name)
            self.choice.setItemData(number, tip, 3)  # the role of a tooltip
        self.choice.activated.connect(lambda _: self.apply())
        self.key = QLabel()
        self.key.setToolTip("What the colours of the changes mean, and how many voxels there are")
        self.key.setVisible(False)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Compare with", self.choice)
        form.addRow(self.key)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE_MS)
        self._later.timeout.connect(self._update)
        viewer_state.happened.connect(self._on_event)

    def refresh(self) -> None:
        """Follow the current image."""
        entry = self._state.current
        self.setEnabled(entry is not None and entry.labels is not None)
        if entry is None or entry.comparison is None:
            self.choice.setCurrentIndex(0)
            self.key.setVisible(False)

    def apply(self) -> None:
        """Show what is chosen."""
        entry = self._state.current
        image = None if entry is None else self._state.opened(entry)
        if entry is None or image is None or image.segmentation is None or image.labels is None:
            return
        viewer, active = self._state.viewer, self._state.viewer.layers.selection.active
        name = str(self.choice.currentData())
        if entry.comparison is not None:
            viewer.layers.remove(entry.comparison)
        grid = Grid.below(entry.image, image.volume)
        before = image.segmentation.labels
        if name == CONTOURS:
            entry.comparison = results.add_network_contours(
                viewer, entry.image, grid, before, image.segmentation.card
            )
        elif name == CHANGES:
            found = results.changes(grid.layer_data(before), grid.layer_data(image.labels))
            entry.comparison = results.add_changes(viewer, entry.image, grid, found)
        self.choice.setCurrentIndex(self.choice.findData(name))
        self._tell(entry)
        if active in viewer.layers:
            viewer.layers.selection.active = active

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LabelsChanged) and self.choice.currentData() == CHANGES:
            self._later.start()

    def _update(self) -> None:
        entry = self._state.current
        image = None if entry is None else self._state.opened(entry)
        if entry is None or entry.comparison is None or image is None:
            return
        if image.segmentation is not None and image.labels is not None:
            found = results.changes(image.segmentation.labels.data, image.labels.data)
            entry.comparison.data = Grid.below(entry.image, image.volume).layer_array(found)
            self._tell(entry)

    def _tell(self, entry: ImageLayers) -> None:
        shown = entry.comparison is not None and self.choice.currentData() == CHANGES
        self.key.setVisible(shown)
        if shown and entry.comparison is not None:
            data = entry.comparison.data
            self.key.setText(
                "  ".join(
                    f'<span style="color:{colour}">&#9632;</span> {name} {(data == code).sum()}'
                    for code, (name, colour) in results.CHANGES.items()
                )
            )
