"""Number slices and frames beside napari's sliders as the panels do, from 1."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_flomo.widgets.delayed import delayed

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_images import ViewerImages


class SliceNumbers(QObject):
    """Labels the sliders of the current image: "slice 5 of 10", "frame 2 of 30".

    napari's own numbers, on the other side of the sliders, count from 0. Axes on the screen and
    those of images that were not segmented keep the labels of their layer.
    """

    def __init__(self, images: ViewerImages) -> None:
        super().__init__(images)
        self._images = images
        self._shown: dict[int, str] = {}
        self._fit = delayed(self, 0, self._make_room)
        dims = images.viewer.dims
        for event in (dims.events.point, dims.events.order, dims.events.ndisplay):
            event.connect(self._update)
        dims.events.axis_labels.connect(self._update)  # napari sets them when layers change
        images.current_changed.connect(self._update)

    def _update(self, _event: Any = None) -> None:
        images = self._images
        layers, dims = images.viewer.layers, images.viewer.dims
        before, self._shown = (
            self._shown,
            {axis: text for axis, text in self._numbers().items() if axis in dims.not_displayed},
        )
        labels = list(dims.axis_labels)
        for axis, text in before.items():
            if axis < min(dims.ndim, layers.ndim) and labels[axis] == text:
                labels[axis] = layers.axis_labels[axis]
        for axis, text in self._shown.items():
            labels[axis] = text
        if tuple(labels) != dims.axis_labels:
            dims.axis_labels = tuple(labels)
            self._fit.start()  # once the sliders show the labels

    def _make_room(self) -> None:
        """Fit the width of the labels to their texts; napari does so for typed ones only."""
        if not self._images.has_window:
            return
        with suppress(AttributeError):  # not part of napari's public interface
            self._images.viewer.window._qt_viewer.dims._resize_axis_labels()

    def _numbers(self) -> dict[int, str]:
        """Return the label of each axis of the viewer that counts something."""
        images, entry = self._images, self._images.current
        image = images.current_image
        if entry is None or image is None or entry.image.ndim < 3:
            return {}
        here, order = images.position(entry), images.order(entry)
        first = images.viewer.dims.ndim - 3
        numbers = {first + order[0]: f"slice {here.slice + 1} of {image.volume.n_slices}"}
        if entry.image.ndim == 4:
            numbers[first - 1] = f"frame {here.frame + 1} of {image.volume.n_frames}"
        return numbers
