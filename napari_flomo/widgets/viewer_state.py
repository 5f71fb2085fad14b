"""One viewer_state for each viewer: its images, the session behind them, and the layers in front.

The panels are thin and come and go; the viewer_state stays as long as the window. Everything here
happens in the window's thread.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_flomo.jobs import Worker
from napari_flomo.session import (
    AutosaveChanged,
    CorrectionWriter,
    EarlierFound,
    Event,
    Place,
    Preferences,
    RunFinished,
    Session,
    messages,
    uncertainty_maps,
)
from napari_flomo.volumes import Volume
from napari_flomo.widgets import label_events, recalling, results
from napari_flomo.widgets.close_guard import Farewell
from napari_flomo.widgets.entries import Entry, is_image
from napari_flomo.widgets.layers import Grid, volume_of_layer
from napari_flomo.widgets.main_thread import Marshal
from napari_flomo.widgets.navigation import face, place_in
from napari_flomo.widgets.remembered_choices import Memory

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_flomo.session import OpenImage, Run
    from napari_flomo.session.learning import Learning
    from napari_flomo.volumes.slice_axis import Order
    from napari_flomo.widgets.computing import Computing
    from napari_flomo.widgets.messages import Choice


@dataclass(frozen=True)
class Said:
    """A message for the user, shown by whatever panel is open."""

    text: str
    level: str = "info"
    details: str = ""
    choices: Sequence[Choice] = ()


class ViewerState(QObject):
    """What the panels of one viewer share.

    Parameters
    ----------
    viewer
        The napari window.
    worker, preferences
        Injected by tests; of its own by default.
    """

    current_changed = Signal()
    """Another image is the one to work on, or its name or layers changed."""
    happened = Signal(object)
    """An `Event` of the session; layers are up to date already."""
    models_changed = Signal(str)
    """Another model is the one to use: its name."""
    computing_changed = Signal()
    """A lazy image is computed, or not any more."""
    moved = Signal()
    """The viewer shows another slice."""
    said = Signal(object)
    """A `Said`."""

    def __init__(
        self,
        viewer: Viewer,
        worker: Worker | None = None,
        preferences: Preferences | None = None,
    ) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self._marshal = Marshal(self)
        self._worker = worker or Worker()
        self.preferences = chosen = preferences or Preferences()
        writer = CorrectionWriter(
            reader=lambda: chosen.reader,
            wanted=lambda: chosen.keep_corrections,
            software={"napari": napari.__version__},
        )
        self.session = Session(self._worker, self._marshal, writer)
        self._memory = Memory(self, self.preferences)
        self._entries: list[Entry] = []
        self._current: Entry | None = None
        self._computing: Computing | None = None
        self.learning: Learning | None = None
        self.closed = False
        self._housed = False  # the window itself is not kept: it could not go
        self._unsubscribe = self.session.subscribe(self._on_event)
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
        assert viewer is not None, "the viewer_state outlived its window"
        return viewer

    @property
    def in_thread(self) -> Marshal:
        """Hands functions over to the window's thread."""
        return self._marshal

    def live_in(self, window: QObject) -> None:
        """End with a window."""
        if not self._housed:
            self._housed = True
            window.destroyed.connect(self.close)
            if isinstance(window, QWidget):
                Farewell(self, window)

    def learn(self) -> Learning:
        """Return what is behind the Learn panel; looks for a training of an earlier day once."""
        if self.learning is None:
            from napari_flomo.session.learning import Learning

            self.learning = Learning(self._marshal)
        return self.learning

    def use_model(self, name: str) -> None:
        """Segment with another model from now on."""
        self.preferences.model = name
        self.models_changed.emit(name)

    def warm_up(self, model: str) -> None:
        """Let the worker load a model now, so that the first click is as quick as later ones."""
        if model:
            self._worker.preload(model, self.preferences.device)

    def close(self) -> None:
        """End all work; unsaved strokes are offered at the next start."""
        if self.closed:
            return
        self.closed = True
        self._unsubscribe()
        for entry in self._entries:
            self._put_away(entry)
        if self.learning is not None:
            self.learning.close()
        self.session.close()

    # Images

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All image layers that can be segmented, in the order of the layer list."""
        order = {id(layer): number for number, layer in enumerate(self.viewer.layers)}
        return tuple(sorted(self._entries, key=lambda entry: order.get(id(entry.image), -1)))

    @property
    def current(self) -> Entry | None:
        """The image to work on: the selected one, or the one a selected result belongs to."""
        return self._current

    def choose(self, entry: Entry | None) -> None:
        """Work on another image."""
        if entry is not self._current:
            self._current = entry
            self.current_changed.emit()

    def entry_of(self, layer: Layer | None) -> Entry | None:
        """Return the image that a layer is or belongs to."""
        return next((one for one in self._entries if layer in one.layers), None)

    def opened(self, entry: Entry) -> OpenImage | None:
        """Return what the session knows of an image; None before the first run."""
        return None if entry.key is None else self.session.image(entry.key)

    @property
    def computing(self) -> Computing | None:
        """The lazy image that is computed now, before it is segmented."""
        return self._computing

    def set_computing(self, computing: Computing | None) -> None:
        """Take note that a lazy image is computed, or that this is over."""
        self._computing = computing
        self.computing_changed.emit()

    def adopt(self, entry: Entry, volume: Volume | None = None) -> OpenImage:
        """Take an image into the session, or anew if it is another image by now.

        Raises
        ------
        FlomoError
            If the layer is no image that can be segmented.
        """
        look = entry.look_of_image()
        if entry.key is not None and entry.seen != look:
            self._forget_results(entry)
        if entry.key is None:
            volume = volume or volume_of_layer(entry.image, entry.slice_axis)
            entry.key = self.session.add(volume, entry.image.name)
            entry.seen = look
        return self.session.image(entry.key)

    def place(self, entry: Entry) -> Place:
        """Return the frame and slice of an image that is on the screen."""
        return place_in(self.viewer, entry.image, self.order(entry))

    def order(self, entry: Entry) -> Order:
        """Return for slices, rows and columns of an image which dimension of its layer each is."""
        image = self.opened(entry)
        return entry.order(None if image is None else image.volume)

    def say(
        self,
        text: str,
        level: str = "info",
        details: str = "",
        choices: Sequence[Choice] = (),
    ) -> None:
        """Show a message in whatever panel is open, with buttons for what can be done."""
        self.said.emit(Said(text, level, details, choices))

    # Layers that come, go and are renamed

    def _on_layers(self, _event: Any = None) -> None:
        known = {id(entry.image) for entry in self._entries}
        for layer in self.viewer.layers:
            if is_image(layer) and id(layer) not in known:
                self._entries.append(Entry(layer))
        self.current_changed.emit()

    def _on_removed(self, event: Any) -> None:
        entry = self.entry_of(event.value)
        if entry is None:
            return
        if event.value is entry.image:
            self._entries.remove(entry)
            self._forget_results(entry)
            if entry is self._current:
                self._current = None
                self._on_active()
        elif event.value is entry.labels:
            self._put_away(entry)  # what was not saved is offered at the next start
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
        self.moved.emit()

    def _forget_results(self, entry: Entry) -> None:
        """Part with an image whose voxels or place are not what was segmented, or that is gone."""
        self._put_away(entry)
        key, entry.key, entry.recalled = entry.key, None, False
        entry.labels = entry.uncertainty = entry.comparison = None
        if key is not None:
            self.session.remove(key)

    def _put_away(self, entry: Entry) -> None:
        self._memory.keep_review(self.opened(entry))
        label_events.stop_following(entry)
        if entry.key is not None:
            self.session.labels_removed(entry.key)

    # What the session tells

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunFinished) and event.run.task == "segment":
            entry = self._entry_with(event.run.key)
            if entry is not None and entry.seen == entry.look_of_image():
                self._show_run(entry, event.run)
            elif entry is not None:
                self._forget_results(entry)
                self.say(
                    f"{entry.image.name} was changed while it was segmented; segment it again.",
                    "warning",
                )
        elif isinstance(event, EarlierFound):
            entry = self._entry_with(event.key)
            if entry is not None:
                recalling.offer(self, entry, event)
        elif isinstance(event, AutosaveChanged):
            self.say(messages.autosave_text(event.problem), "warning" if event.problem else "info")
        self.happened.emit(event)

    def _entry_with(self, key: str | None) -> Entry | None:
        return next((one for one in self._entries if one.key == key), None)

    def _show_run(self, entry: Entry, run: Run) -> None:
        if run.only_maps:
            self.show_uncertainty(entry, entry.map)
            self.current_changed.emit()
        else:
            entry.model = run.model or ""
            self.show_result(entry)

    def show_result(self, entry: Entry, *, recalled: bool = False) -> None:
        """Bring the layers of an image up to date with what the session knows of it.

        ``recalled`` where the review is that of before already.
        """
        image = self.opened(entry)
        assert image is not None
        assert image.labels is not None
        assert image.segmentation is not None
        grid = Grid.below(entry.image, image.volume)
        card = image.segmentation.card
        if entry.labels is None:
            face(self.viewer, entry.image, grid.order)
            self._memory.recall(entry, image, review=not recalled)
            entry.labels = results.add_labels(
                self.viewer,
                entry.image,
                grid,
                image.labels,
                card,
                saved=lambda: self.saved(entry),
            )
            label_events.follow(self, entry)
            if not recalled:
                self.session.recall(image.key)
        else:
            self._update_labels(entry, image, grid)
            entry.labels.colormap = results.label_colours(card)
        self.show_uncertainty(entry)
        self.viewer.layers.selection.active = entry.labels
        self.current_changed.emit()

    def _update_labels(self, entry: Entry, image: OpenImage, grid: Grid) -> None:
        """Show new labels in the layer that is there, as one step of its undo history.

        The layer keeps its array, which the session then shares again.
        """
        layer, watch = entry.labels, entry.watch
        assert layer is not None
        assert watch is not None
        assert image.labels is not None
        with layer.events.paint.blocker():
            results.replace_voxels(layer, grid.layer_data(image.labels))
        watch.rebase()
        self.session.set_labels(image.key, grid.array(layer.data))

    def show_uncertainty(self, entry: Entry, name: str | None = None) -> None:
        """Show another uncertainty map of an image, or the one that was chosen last anew."""
        image = self.opened(entry)
        if image is None or image.segmentation is None or not image.segmentation.uncertainty:
            return
        maps = image.segmentation.uncertainty
        entry.map = next(one for one in (name or "", entry.map, *maps) if one in maps)
        uncertainty = maps[entry.map]
        grid = Grid.below(entry.image, image.volume)
        if entry.uncertainty is None and entry.labels is not None:
            entry.uncertainty = results.add_uncertainty(
                self.viewer, entry.image, grid, uncertainty, entry.labels
            )
        elif entry.uncertainty is not None:
            entry.uncertainty.data = grid.layer_data(uncertainty)
        if entry.uncertainty is not None:
            entry.uncertainty.contrast_limits = (
                0,
                uncertainty_maps.largest_shown(entry.map, uncertainty.data),
            )

    def saved(self, entry: Entry) -> None:
        """Report that the labels of an image were saved to a file."""
        if entry.key is not None:
            self.session.labels_saved(entry.key)


_DESKS: weakref.WeakKeyDictionary[Any, ViewerState] = weakref.WeakKeyDictionary()


def desk_of(viewer: Viewer, worker: Worker | None = None) -> ViewerState:
    """Return the viewer_state of a viewer; it is made, with a worker, when the first panel opens.

    napari hands panels and commands nothing but the viewer, so this is where they find each other.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    viewer_state = _DESKS.get(viewer)
    if viewer_state is None or viewer_state.closed:
        viewer_state = _DESKS[viewer] = ViewerState(viewer, worker)
    return viewer_state
