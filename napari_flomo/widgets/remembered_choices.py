"""Review and contrast that are remembered between sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_flomo.session import review_note
from napari_flomo.widgets import contrast
from napari_flomo.widgets.delayed import delayed

if TYPE_CHECKING:
    from napari_flomo.session import OpenImage, Preferences
    from napari_flomo.widgets.image_layers import ImageLayers

SETTLE_MS = 500
"""A slider that is dragged changes the contrast many times; the last value counts."""


class RememberedChoices(QObject):
    """Saves and restores the review of each image and the contrast of each model."""

    def __init__(self, preferences: Preferences, parent: QObject) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self._touched: tuple[ImageLayers, OpenImage] | None = None
        self._closed = False
        self._settled = delayed(self, SETTLE_MS, self.save_contrast)

    def close(self) -> None:
        """Ignore further changes."""
        self._closed = True
        self._settled.stop()

    def recall(self, entry: ImageLayers, image: OpenImage) -> None:
        """Restore the contrast that was chosen for the model of an image."""
        if entry.recalled:
            return
        entry.recalled = True
        if entry.image.rgb:
            return
        percentiles = self._preferences.contrast(_model_of(image))
        if percentiles is not None:
            contrast.apply(entry.image, image.volume.data, percentiles)
        entry.image.events.contrast_limits.connect(lambda _event: self._on_contrast(entry, image))

    def save_review(self, image: OpenImage | None) -> None:
        """Save the review of an image."""
        if image is not None and image.review is not None:
            self._preferences.set_review(image.hash, review_note(image))

    def save_contrast(self) -> None:
        """Save the contrast that was chosen last."""
        touched, self._touched = self._touched, None
        self._settled.stop()
        if touched is None:
            return
        entry, image = touched
        if entry.key == image.key and image.segmentation is not None:
            chosen = contrast.percentiles_of(entry.image, image.volume.data)
            self._preferences.set_contrast(_model_of(image), *chosen)

    def _on_contrast(self, entry: ImageLayers, image: OpenImage) -> None:
        if not self._closed and entry.key == image.key:  # else the image was closed since
            self._touched = entry, image
            self._settled.start()


def _model_of(image: OpenImage) -> str:
    """Return the model that segmented an image, as it was chosen or else by its name."""
    return image.model or ("" if image.segmentation is None else image.segmentation.card.name)
