"""Show the images, labels and messages of a session in napari."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.session import FOR_REVIEW, Message, SliceIndex, messages, uncertainty_maps
from napari_flomo.widgets import label_events, navigation, results, visibility, warming_up
from napari_flomo.widgets.layers import KEY, Grid
from napari_flomo.widgets.lazy_image import wants_computing

if TYPE_CHECKING:
    from napari_flomo.session import NotShown, OpenImage, Reasons
    from napari_flomo.volumes import Volume
    from napari_flomo.widgets.image_layers import ImageLayers
    from napari_flomo.widgets.viewer_images import ViewerImages


class NapariAdapter:
    """The `ViewerAdapter` of a napari window."""

    undo_hint = "Ctrl+Z on the labels"

    def __init__(self, images: ViewerImages) -> None:
        self._images = images

    def dispatch(self, action: Callable[[], None]) -> None:
        """Call a function in the thread of the window; may be called from any thread."""
        self._images.in_main_thread(action)

    def notify(self, message: Message) -> None:
        """Show a message in the panels."""
        self._images.post(message)

    def ask(self, question: Message) -> None:
        """Show a question with a button for each choice; Dismiss cancels."""
        self.notify(question)

    def chosen_image(self) -> str | None:
        """Return the key of the current image; None if it must be computed or cannot be opened."""
        entry = self._images.current
        if entry is None or wants_computing(entry):
            return None
        try:
            return self._images.open_image(entry).key
        except FlomoError:
            return None

    def position(self, key: str) -> SliceIndex:
        """Return the frame and slice of an image on the screen."""
        return self._images.position(self._entry(key))

    def not_shown(self, key: str, reasons: Reasons = FOR_REVIEW) -> NotShown | None:
        """Return the first of ``reasons`` why slices or results of an image cannot be seen."""
        entry = self._entry(key)
        order = self._images.order(entry)
        return visibility.not_shown(self._images.viewer, entry, order, reasons)

    def show_slices(self, key: str) -> None:
        """Turn the view to the slices of an image, and show its labels above other images."""
        entry = self._entry(key)
        if entry.labels is None:
            self.show_labels(key)
        visibility.show_slices(self._images.viewer, entry, self._images.order(entry))

    def go_to(self, key: str, index: SliceIndex) -> None:
        """Move the sliders to a slice of an image."""
        entry = self._entry(key)
        navigation.go_to(self._images.viewer, entry.image, index, self._images.order(entry))

    def warm_up(self) -> None:
        """Load what the first layers of a process need; may be called from any thread."""
        warming_up.warm_up()

    def prepare_image(self, volume: Volume) -> None:
        """Create the sliders of an image, which takes napari a third of the time to add it."""
        dims = self._images.viewer.dims
        dims.ndim = max(dims.ndim, volume.data.ndim - ("channels" in volume.axes))

    def add_image(self, volume: Volume, name: str) -> str:
        """Add an image layer and return the key of its image."""
        from napari.layers import Image

        from napari_flomo.widgets.reader import layer_data

        data, arguments, _kind = layer_data(volume)
        layer = self._images.viewer.add_layer(Image(data, **(arguments | {"name": name})))
        entry = self._images.entry_of(layer)
        assert entry is not None
        return self._images.open_image(entry, volume).key

    def remove_image(self, key: str) -> None:
        """Remove the layer of an image and those of its results."""
        for layer in reversed(self._entry(key).layers):
            self._images.viewer.layers.remove(layer)

    def read_labels(self, key: str) -> None:
        """Report an undo or redo that has just been drawn."""
        entry = self._images.entry_with(key)
        if entry is not None and entry.watch is not None:
            entry.watch.settle()

    def show_labels(self, key: str) -> None:
        """Update labels and uncertainty of an image; add the layers at first.

        An image whose layer was changed since it was opened is closed instead.
        """
        images, entry = self._images, self._entry(key)
        if entry.seen != entry.fingerprint():
            images.close_image(entry)
            text = f"{entry.image.name} was changed while it was segmented; segment it again."
            self.notify(Message(text, "warning"))
            return
        image = images.session.image(key)
        assert image.labels is not None
        assert image.segmentation is not None
        grid = Grid.below(entry.image, image.volume)
        with navigation.selection_kept(images.viewer):
            if entry.labels is None:
                self._add_labels(entry, image, grid)
            else:
                self._update_labels(entry, image, grid)
                results.show_card(entry.labels, image.segmentation.card)
            self.show_map(key)
        images.current_changed.emit()

    def show_contours(self, contours: bool) -> bool:
        """Show the labels of all images and label files as contours, or filled.

        Return True if any of them can be seen; napari draws no contours in 3-D.
        """
        viewer, seen = self._images.viewer, False
        for layer in viewer.layers:
            if KEY in layer.metadata and hasattr(layer, "contour") and layer.editable:
                results.show_contours(layer, contours)
                seen |= visibility.can_be_seen(viewer, layer)
        return seen and viewer.dims.ndisplay == 2

    def focus(self) -> object:
        """Return the current image, the selected layers, the tool, and the slice on the screen."""
        current = self._images.current
        return None if current is None else current.image, navigation.focus(self._images.viewer)

    def select_labels(self, key: str) -> None:
        """Make the labels of an image the active layer; turn to its slices at the first time."""
        entry = self._entry(key)
        if not entry.faced:
            entry.faced = True
            order = self._images.order(entry)
            navigation.face(self._images.viewer, entry.image, order)
        self._images.viewer.layers.selection.active = entry.labels

    def show_map(self, key: str, name: str = "") -> None:
        """Show an uncertainty map; by default the one that was chosen last."""
        entry, image = self._entry(key), self._images.session.image(key)
        if image.segmentation is None or not image.segmentation.uncertainty:
            return
        maps = image.segmentation.uncertainty
        entry.map = next(one for one in (name, entry.map, *maps) if one in maps)
        uncertainty = maps[entry.map]
        grid = Grid.below(entry.image, image.volume)
        if entry.uncertainty is None and entry.labels is not None:
            with navigation.selection_kept(self._images.viewer):
                entry.uncertainty = results.add_uncertainty(
                    self._images.viewer, entry.image, grid, uncertainty, entry.labels
                )
        elif entry.uncertainty is not None:
            entry.uncertainty.data = grid.layer_data(uncertainty)
        if entry.uncertainty is not None:
            largest = uncertainty_maps.largest_shown(entry.map, uncertainty.data)
            entry.uncertainty.contrast_limits = (0, largest)
        self._images.current_changed.emit()

    def _add_labels(self, entry: ImageLayers, image: OpenImage, grid: Grid) -> None:
        images = self._images
        assert image.labels is not None
        assert image.segmentation is not None
        images.remembered.recall(entry, image)
        entry.labels = results.add_labels(
            images.viewer,
            entry.image,
            grid,
            image.labels,
            image.segmentation.card,
            saved=lambda: images.session.labels_saved(image.key),
        )
        label_events.follow(images, entry)

    def _update_labels(self, entry: ImageLayers, image: OpenImage, grid: Grid) -> None:
        """Show new labels in the existing layer, as one step of its undo history.

        The layer keeps its array, which the session then shares. Labels that an undo or redo
        restored are in the layer already.
        """
        layer, watch = entry.labels, entry.watch
        assert layer is not None
        assert watch is not None
        assert image.labels is not None
        if watch.steps.current != image.steps.current:
            with layer.events.paint.blocker():
                results.replace_voxels(layer, grid.layer_data(image.labels))
            watch.steps.add(image.steps.current)
            spare = image.take_spare()
            watch.rebase(None if spare is None else grid.layer_array(spare))
            self._images.session.set_labels(image.key, grid.array(layer.data))

    def _entry(self, key: str) -> ImageLayers:
        entry = self._images.entry_with(key)
        if entry is None:
            raise FlomoError(messages.NOT_OPEN)
        return entry
