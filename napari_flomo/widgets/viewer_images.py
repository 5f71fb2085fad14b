"""The images of a napari window: their layers, and the session that works on them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import napari
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    CorrectionWriter,
    Message,
    MessageBoard,
    Preferences,
    Session,
    SliceIndex,
    Until,
    Worker,
)
from napari_flomo.volumes import Volume
from napari_flomo.widgets.image_layers import ImageLayers, is_image
from napari_flomo.widgets.main_thread import MainThread
from napari_flomo.widgets.navigation import slice_on_screen
from napari_flomo.widgets.remembered_choices import RememberedChoices

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_flomo.session import OpenImage
    from napari_flomo.volumes import Order


class ViewerImages(QObject):
    """The images of a napari window and the layers that show them.

    Parameters
    ----------
    viewer
        The napari window.
    worker, preferences
        For tests; created by default.
    """

    current_changed = Signal()
    """The current image, its name or its layers changed."""
    slice_changed = Signal()
    """The viewer shows another slice."""
    image_removing = Signal(object)
    """The user removes an `OpenImage`."""
    message_changed = Signal(object)
    """Another `Message` is to be shown in the panels, or None."""

    def __init__(
        self,
        viewer: Viewer,
        worker: Worker | None = None,
        preferences: Preferences | None = None,
    ) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.in_main_thread = MainThread(self)
        self.preferences = chosen = preferences or Preferences()
        writer = CorrectionWriter(
            reader=lambda: chosen.reader,
            wanted=lambda: chosen.keep_corrections,
            software={"napari": napari.__version__},
        )
        self.session = Session(worker, self.in_main_thread, writer)
        self.board = MessageBoard(self.session)
        self.board.subscribe(lambda: self.message_changed.emit(self.board.shown))
        self.current_changed.connect(lambda: self.board.choose(self.key))
        self.remembered = RememberedChoices(chosen, self)
        self._entries: list[ImageLayers] = []
        self._current: ImageLayers | None = None
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.events.renamed.connect(self._on_renamed)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.dims.events.point.connect(self._on_moved)
        self._on_layers()
        self._on_active()

    @property
    def viewer(self) -> Viewer:
        """The napari window."""
        viewer = self._viewer()
        assert viewer is not None, "the state outlived its window"
        return viewer

    @property
    def has_window(self) -> bool:
        """Whether the window is still there."""
        return self._viewer() is not None

    @property
    def entries(self) -> tuple[ImageLayers, ...]:
        """All image layers that can be segmented, in the order of the layer list."""
        order = {id(layer): number for number, layer in enumerate(self.viewer.layers)}
        return tuple(sorted(self._entries, key=lambda entry: order.get(id(entry.image), -1)))

    @property
    def current(self) -> ImageLayers | None:
        """The image to work on: the selected one, or the one a selected result belongs to."""
        return self._current

    def choose(self, entry: ImageLayers | None) -> None:
        """Work on another image."""
        if entry is not self._current:
            self._current = entry
            self.current_changed.emit()

    def entry_of(self, layer: Layer | None) -> ImageLayers | None:
        """Return the image that a layer is or belongs to."""
        return next((one for one in self._entries if layer in one.layers), None)

    def entry_with(self, key: str) -> ImageLayers | None:
        """Return the image with a key of the session."""
        return next((one for one in self._entries if one.key == key), None)

    @property
    def key(self) -> str | None:
        """Key of the current image in the session; None before it was segmented."""
        return None if self._current is None else self._current.key

    def opened(self, entry: ImageLayers) -> OpenImage | None:
        """Return what the session knows of an image; None before the first run."""
        return None if entry.key is None else self.session.image(entry.key)

    def open_image(self, entry: ImageLayers, volume: Volume | None = None) -> OpenImage:
        """Open an image in the session; open it again if its layer was changed.

        Raises `FlomoError` if the layer is no image that can be segmented.
        """
        fingerprint = entry.fingerprint()
        if entry.key is not None and entry.seen != fingerprint:
            self.close_image(entry)
        if entry.key is None:
            volume = volume or entry.volume()
            entry.key = self.session.add(volume, entry.image.name)
            entry.seen = fingerprint
            self.board.choose(self.key)
        return self.session.image(entry.key)

    def position(self, entry: ImageLayers) -> SliceIndex:
        """Return the frame and slice of an image that is on the screen."""
        return slice_on_screen(self.viewer, entry.image, self.order(entry))

    def order(self, entry: ImageLayers) -> Order:
        """Return for slices, rows and columns of an image which dimension of its layer each is."""
        image = self.opened(entry)
        return entry.order(None if image is None else image.volume)

    @property
    def current_image(self) -> OpenImage | None:
        """The current image in the session; None before it was segmented."""
        return None if self._current is None else self.opened(self._current)

    def attempt(self, action: Callable[[], object]) -> None:
        """Call ``action``; show the message of a `FlomoError` in every open panel."""
        try:
            action()
        except FlomoError as error:
            self.post_message(str(error), "warning")

    def post_message(self, text: str, level: str = "info", details: str = "") -> None:
        """Show a message until the next action of the user."""
        self.post(Message(text, level, details))

    def post(self, message: Message) -> None:
        """Show a message in the panels and, for a moment, in the status bar.

        An error is also shown as a notification of napari. A passing hint is shown in the status
        bar only.
        """
        self.viewer.status = message.text
        if message.until is not Until.MOMENT:
            self.board.post(message)
        if message.level == "error":
            show_error(message.text)

    # Layer events

    def _on_layers(self, _event: Any = None) -> None:
        known = {id(entry.image) for entry in self._entries}
        for layer in self.viewer.layers:
            if is_image(layer) and id(layer) not in known:
                self._entries.append(ImageLayers(layer))
        self.current_changed.emit()

    def _on_removed(self, event: Any) -> None:
        entry = self.entry_of(event.value)
        if entry is None:
            return
        if event.value is entry.image:
            self._entries.remove(entry)
            if (image := self.opened(entry)) is not None:
                self.image_removing.emit(image)
            self.close_image(entry)
            if entry is self._current:
                self._current = None
                self._on_active()
        elif event.value is entry.labels:
            self.release_labels(entry)  # what was not saved is offered at the next start
            entry.labels = None
        elif event.value is entry.uncertainty:
            entry.uncertainty = None
        else:
            entry.comparison = None
        self.current_changed.emit()

    def _on_renamed(self, event: Any) -> None:
        layer = self.viewer.layers[event.index]
        entry = next((one for one in self._entries if one.image is layer), None)
        if entry is not None and entry.key is not None:
            before, after = self.session.image(entry.key).name, entry.image.name
            self.session.rename(entry.key, after)
            for layer in entry.layers[1:]:
                if layer.name.startswith(f"{before} "):
                    layer.name = after + layer.name[len(before) :]
        self.current_changed.emit()

    def _on_active(self, _event: Any = None) -> None:
        entry = self.entry_of(self.viewer.layers.selection.active)
        if entry is None and self._current is None and self._entries:
            entry = self.entries[-1]
        if entry is not None:
            self.choose(entry)

    def _on_moved(self, _event: Any = None) -> None:
        self.slice_changed.emit()

    def close_image(self, entry: ImageLayers) -> None:
        """Close an image that was changed or removed; its result layers stay, if there are any."""
        self.release_labels(entry)
        key, entry.key, entry.recalled = entry.key, None, False
        entry.labels = entry.uncertainty = entry.comparison = None
        if key is not None:
            self.session.remove(key)

    def release_labels(self, entry: ImageLayers) -> None:
        """Stop watching the labels of an image, and save its review."""
        self.remembered.save_review(self.opened(entry))
        entry.stop_watching()
        if entry.key is not None:
            self.session.labels_removed(entry.key)
