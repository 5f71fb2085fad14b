"""An image layer and its result layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError
from napari_flomo.widgets.layers import KEY, Grid, layout_of, order_on, shape_of, volume_of_layer

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

    from napari_flomo.volumes import Order, Volume
    from napari_flomo.widgets.label_diff import LabelWatcher
    from napari_flomo.widgets.label_locks import LockGuard


@dataclass(eq=False)
class ImageLayers:
    """An image layer and its result layers.

    Attributes
    ----------
    key
        Key of the image in the session; None until it is segmented or restored.
    labels, uncertainty, comparison
        Result layers, while they are in the viewer.
    watch, lock_guard
        Finds changes of the labels, and protects locked ones.
    map
        Name of the uncertainty map that is shown or was requested.
    slice_axis
        Slice axis that the user chose, if any.
    fill_everywhere
        Whether the user treats voxels without a value within the image as background.
    recalled
        Whether the remembered contrast was restored.
    faced
        Whether the view was turned to the slices after the first run.
    seen
        `fingerprint` of the layer when it was opened in the session.
    """

    image: Image
    key: str | None = None
    labels: Labels | None = None
    uncertainty: Image | None = None
    comparison: Labels | None = None
    watch: LabelWatcher | None = None
    lock_guard: LockGuard | None = None
    map: str = ""
    slice_axis: str | None = None
    fill_everywhere: bool = False
    recalled: bool = False
    faced: bool = False
    seen: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def n_frames(self) -> int:
        """Number of frames; 1 for a single image or stack."""
        return int(shape_of(self.image)[0]) if self.image.ndim == 4 else 1

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers that belong to the image, itself first."""
        made = (self.labels, self.uncertainty, self.comparison)
        return (self.image, *(layer for layer in made if layer is not None))

    def volume(self) -> Volume:
        """Return the image, with what the user chose for it; see `volume_of_layer`."""
        return volume_of_layer(self.image, self.slice_axis, fill_everywhere=self.fill_everywhere)

    def order(self, volume: Volume | None) -> Order:
        """Return for slices, rows and columns which dimension of the image layer each of them is.

        ``volume`` is the image as it was segmented; None before that.
        """
        try:
            volume = volume or layout_of(self.image, self.slice_axis)
        except FlomoError:  # shown in the description of the image
            return 0, 1, 2
        return order_on(self.image, volume)

    def fingerprint(self) -> tuple[Any, ...]:
        """Return a tuple that changes with the data and the geometry: results are then invalid."""
        image = self.image
        place = (image.scale, image.translate, image.rotate, image.shear)
        numbers = (*place, image.affine.affine_matrix)
        return (
            id(image.data),
            self.slice_axis,
            *(tuple(map(float, part.ravel())) for part in numbers),
        )

    def stop_watching(self) -> None:
        """Report the last changes of the labels layer and stop watching it."""
        if self.lock_guard is not None:
            self.lock_guard.close()
            self.lock_guard.deleteLater()
            self.lock_guard = None
        if self.watch is not None:
            self.watch.compare()
            self.watch.close()
            self.watch.deleteLater()
            self.watch = None


def is_image(layer: Layer) -> bool:
    """Return True if a layer is an image to segment, and not an uncertainty map."""
    from napari.layers import Image

    return isinstance(layer, Image) and not isinstance(layer.metadata.get(KEY), Grid)
