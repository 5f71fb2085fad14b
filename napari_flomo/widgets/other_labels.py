"""Labels layers on an image under review, such as a duplicate, that are not the reviewed one."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_flomo.session import Message, is_copy, messages
from napari_flomo.widgets import label_events
from napari_flomo.widgets.layers import SAVED, Grid

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_images import ViewerImages
USE_TIP = "Review this layer in place of the one that was reviewed so far, which is hidden"


class OtherLabels(QObject):
    """Says once for each layer that strokes on it do not count, and offers to use a copy.

    Parameters
    ----------
    images
        The images of the window.
    notify
        Shows a message.
    """

    def __init__(self, images: ViewerImages, notify: Callable[[Message], None]) -> None:
        super().__init__(images)
        self._images = images
        self._notify = notify
        self._told: weakref.WeakSet[Labels] = weakref.WeakSet()
        for layer in images.viewer.layers:
            self._watch(layer)
        images.viewer.layers.events.inserted.connect(lambda event: self._watch(event.value))

    def _watch(self, layer: Layer) -> None:
        from napari.layers import Labels

        if isinstance(layer, Labels):
            own = [one.labels.metadata.get(SAVED) for one in self._images.entries if one.labels]
            if layer.metadata.get(SAVED) in own:  # a duplicate: saving it saves no reviewed labels
                layer.metadata.pop(SAVED, None)
            layer.events.paint.connect(partial(self._on_paint, weakref.ref(layer)))

    def _on_paint(self, reference: weakref.ref[Labels], _event: Any) -> None:
        layer = reference()
        if layer is None or layer in self._told or self._images.entry_of(layer) is not None:
            return
        entry = next((one for one in self._images.entries if self._lies_on(layer, one)), None)
        if entry is None or entry.key is None:
            return
        self._told.add(layer)
        use = partial(self._use, entry, reference) if self._is_copy(layer, entry) else None
        name = entry.image.name
        self._notify(
            messages.other_labels_message(
                layer.name, name, entry.key, use, noun="layer", tip=USE_TIP
            )
        )

    def _use(self, entry: ImageLayers, reference: weakref.ref[Labels]) -> None:
        layer = reference()
        if layer is not None and layer in self._images.viewer.layers and entry.key is not None:
            if entry.labels is not None:
                self._told.discard(entry.labels)
            label_events.use(self._images, entry, layer)

    def _lies_on(self, layer: Labels, entry: ImageLayers) -> bool:
        """Return True if a layer has the grid of an image that has labels."""
        image = self._images.opened(entry)
        if image is None or image.labels is None or layer.ndim != entry.image.ndim:
            return False
        if layer.data.shape != Grid.below(entry.image, image.volume).shape:
            return False
        corners = (np.zeros(layer.ndim), np.array(layer.data.shape))
        return all(
            np.allclose(layer.data_to_world(corner), entry.image.data_to_world(corner))
            for corner in corners
        )

    def _is_copy(self, layer: Labels, entry: ImageLayers) -> bool:
        image = self._images.opened(entry)
        assert image is not None
        assert image.labels is not None
        ours = Grid.below(entry.image, image.volume).layer_data(image.labels)
        return is_copy(layer.data, ours)
