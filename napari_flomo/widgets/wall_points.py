"""Insertion points of the right ventricle as a points layer, to be dragged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_flomo.errors import FlomoError
from napari_flomo.measures import Insertions
from napari_flomo.session import (
    InsertionsChanged,
    LabelsChanged,
    PhasesChanged,
    RunFinished,
    SliceIndex,
    measure_messages,
    wall_insertions,
)
from napari_flomo.widgets.delayed import delayed
from napari_flomo.widgets.layers import transform_of

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_flomo.session import Event, Presenter
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_images import ViewerImages

SETTLE_MS = 300
SIZE_PIXELS = 5
COLOURS = ("#ffb000", "#56b4e9")  # orange and blue differ for colour-blind eyes, too
SYMBOLS = ("disc", "square")


class WallPoints(QObject):
    """The points layer of one image at a time; what is dragged goes to the session.

    The layer shows what the session has: points that are added, deleted or moved out of their slice
    are put back.
    """

    def __init__(self, images: ViewerImages, presenter: Presenter) -> None:
        super().__init__(images)
        self._images, self._presenter = images, presenter
        self._entry: ImageLayers | None = None
        self._layer: Points | None = None
        self._shown: dict[SliceIndex, Insertions] = {}
        self._settled = delayed(self, SETTLE_MS, self._redraw)
        images.viewer.layers.events.removed.connect(self._on_removed)
        images.current_changed.connect(self._on_current)
        images.session.subscribe(self._on_event)

    @property
    def layer(self) -> Points | None:
        """The layer; None while the points are hidden."""
        return self._layer

    def show(self) -> None:
        """Show the points of the current image and let the mouse drag them.

        Raises `FlomoError` if there are none.
        """
        from napari.layers import Points

        self.hide()
        shown = self._presenter.show_insertions(self._images.key)
        entry, viewer = self._images.current, self._images.viewer
        assert entry is not None
        self._entry, self._shown = entry, shown
        name = f"{entry.image.name} insertion points"
        layer = Points(
            self._coordinates(shown),
            name=name,
            size=SIZE_PIXELS,
            **_style(len(shown)),
            **transform_of(entry.image),
        )
        self._layer = layer
        viewer.add_layer(layer)
        viewer.layers.selection.active = layer
        layer.mode = "select"
        layer.events.data.connect(self._on_data)

    def hide(self) -> None:
        """Remove the layer, and select the labels again."""
        layer, entry = self._layer, self._entry
        if layer is None or entry is None:
            return
        layers = self._images.viewer.layers
        was_active = layers.selection.active is layer
        layers.remove(layer)  # calls _on_removed
        if was_active and entry.labels in layers:
            layers.selection.active = entry.labels

    def automatic(self) -> None:
        """Find all points of the current image from the labels again."""
        self._presenter.automatic_insertions(self._images.key)

    def _on_data(self, event: Any) -> None:
        """Move what was dragged; anything else is put back."""
        action = str(getattr(event, "action", ""))
        if self._layer is None or self._entry is None or action.endswith("ing"):
            return
        if len(self._layer.data) == 2 * len(self._shown):
            moved = self._moved(self._layer.data)
            if moved:
                key = self._entry.key
                self._images.attempt(lambda: self._presenter.move_insertions(key, moved))
        self._settled.start()

    def _moved(self, data: NDArray[Any]) -> dict[SliceIndex, Insertions]:
        rows, columns = self._plane()
        before = self._coordinates(self._shown)
        moved = {}
        for number, index in enumerate(self._shown):
            pair = data[2 * number : 2 * number + 2][:, [rows, columns]]
            if not np.allclose(pair, before[2 * number : 2 * number + 2][:, [rows, columns]]):
                (a, b), (c, d) = pair.tolist()
                moved[index] = Insertions((a, b), (c, d))
        return moved

    def _coordinates(self, points: Mapping[SliceIndex, Insertions]) -> NDArray[np.float64]:
        """Return two points of the layer, ``(points, dimensions)``, for each slice."""
        assert self._entry is not None
        ndim, (rows, columns) = self._entry.image.ndim, self._plane()
        data = np.zeros((2 * len(points), ndim))
        for number, (index, pair) in enumerate(points.items()):
            both = data[2 * number : 2 * number + 2]
            if ndim > 2:
                both[:, ndim - 3 + self._images.order(self._entry)[0]] = index.slice
            if ndim == 4:
                both[:, 0] = index.frame
            both[:, rows], both[:, columns] = zip(pair.anterior, pair.inferior, strict=True)
        return data

    def _plane(self) -> tuple[int, int]:
        """Return which dimensions of the layer are rows and columns."""
        assert self._entry is not None
        ndim, order = self._entry.image.ndim, self._images.order(self._entry)
        return (0, 1) if ndim == 2 else (ndim - 3 + order[1], ndim - 3 + order[2])

    def _redraw(self) -> None:
        """Show what the session has now."""
        if self._layer is None or self._entry is None or not self._images.has_window:
            return
        image = self._images.opened(self._entry)
        try:
            shown = {} if image is None else wall_insertions(image)
        except FlomoError:
            shown = {}
        self._shown = shown
        data = self._coordinates(shown)
        if np.array_equal(self._layer.data, data):
            return
        with self._layer.events.data.blocker(self._on_data):
            same = len(self._layer.data) == len(data)
            self._layer.data = data
            if not same:
                for name, value in _style(len(shown)).items():
                    setattr(self._layer, name, value)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._settled.stop()
            self._layer = self._entry = None
            self._images.current_changed.emit()

    def _on_current(self) -> None:
        """Hide the points of an image that was closed, or whose labels were removed."""
        if self._entry is not None and (self._entry.key is None or self._entry.labels is None):
            self.hide()

    def _on_event(self, event: Event) -> None:
        changes = InsertionsChanged | LabelsChanged | PhasesChanged | RunFinished
        if self._layer is not None and isinstance(event, changes):
            self._settled.start()


def _style(slices: int) -> dict[str, Any]:
    """Return what tells anterior from inferior points: text, colour and symbol."""
    ends = list(measure_messages.INSERTION_ENDS) * slices
    return {
        "features": {"end": ends},
        "text": {"string": "{end}", "color": "white", "anchor": "upper_left", "size": 9},
        "face_color": list(COLOURS) * slices,
        "symbol": list(SYMBOLS) * slices,
    }
