"""Compare the current labels with those of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_flomo.session import LabelsChanged
from napari_flomo.widgets import results
from napari_flomo.widgets.delayed import delayed
from napari_flomo.widgets.forms import make_form, set_tips, show_value
from napari_flomo.widgets.forms.review import CHANGES, COMPARISONS, CONTOURS, OFF, CompareOptions
from napari_flomo.widgets.layers import Grid

if TYPE_CHECKING:
    from napari_flomo.session import Event
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_state import ViewerState

SETTLE_MS = 120


class CompareBox(QWidget):
    """Chooses what the labels are compared with."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer_state = viewer_state
        self.form = form = make_form(CompareOptions)
        set_tips(form.compare_with, COMPARISONS)
        form.compare_with.changed.connect(self.apply)
        self.key = QLabel()
        self.key.setWordWrap(True)
        self.key.setToolTip("What the colours of the changes mean, and how many voxels there are")
        self.key.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.native)
        layout.addWidget(self.key)
        self._later = delayed(self, SETTLE_MS, self._update)
        viewer_state.session_changed.connect(self._on_event)

    def refresh(self) -> None:
        """Follow the current image."""
        entry = self._viewer_state.current
        self.setEnabled(entry is not None and entry.labels is not None)
        if entry is None or entry.comparison is None:
            show_value(self.form.compare_with, OFF)
            self.key.setVisible(False)

    @property
    def choice(self) -> str:
        """What the labels are compared with."""
        return self.form().compare_with

    def apply(self, name: str) -> None:
        """Compare the labels with something else, or with nothing."""
        entry, image = self._viewer_state.current, self._viewer_state.current_image
        if entry is None or image is None or image.segmentation is None or image.labels is None:
            return
        viewer = self._viewer_state.viewer
        active = viewer.layers.selection.active
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
        show_value(self.form.compare_with, name)
        self._show_key(entry)
        if active in viewer.layers:
            viewer.layers.selection.active = active

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LabelsChanged) and self.choice == CHANGES:
            self._later.start()

    def _update(self) -> None:
        entry, image = self._viewer_state.current, self._viewer_state.current_image
        if entry is None or entry.comparison is None or image is None:
            return
        if image.segmentation is not None and image.labels is not None:
            found = results.changes(image.segmentation.labels.data, image.labels.data)
            entry.comparison.data = Grid.below(entry.image, image.volume).layer_array(found)
            self._show_key(entry)

    def _show_key(self, entry: ImageLayers) -> None:
        shown = entry.comparison is not None and self.choice == CHANGES
        self.key.setVisible(shown)
        if shown and entry.comparison is not None:
            data = entry.comparison.data
            self.key.setText(
                "  ".join(
                    f'<span style="color:{colour}">&#9632;</span>&nbsp;{name}'
                    f"&nbsp;{(data == code).sum()}"
                    for code, (name, colour) in results.CHANGES.items()
                )
            )
