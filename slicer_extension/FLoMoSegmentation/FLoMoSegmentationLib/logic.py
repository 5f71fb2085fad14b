"""The module without any widget: connects the scene with a `Session`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib import scene_sync, segment_nodes, strokes, versions, views
from FLoMoSegmentationLib.frames import refresh
from FLoMoSegmentationLib.images import source_of, volume_of
from FLoMoSegmentationLib.record import Record
from FLoMoSegmentationLib.scene_adapter import Host, NoHost, SceneAdapter
from FLoMoSegmentationLib.scene_image import SceneImage, SceneWatch
from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    CorrectionWriter,
    Event,
    LabelsChanged,
    LocksChanged,
    Preferences,
    Presenter,
    ReviewChanged,
    Run,
    Scope,
    Session,
    SliceIndex,
    uncertainty_maps,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.runner import CallQueue
    from napari_flomo.session import Worker


class Logic:
    """The images of the scene and the work on them.

    Parameters
    ----------
    worker
        Does the long work in a child process, see `make_worker`.
    queue
        Drained by a timer in Slicer's own thread; all reports come through it.
    preferences
        The user's, shared with napari.
    writer
        Keeps accepted slices; by default in the same store of corrections as napari.
    host
        The module's panel; without one, messages go nowhere.

    Attributes
    ----------
    session
        Images, runs, review and measures, as in napari.
    presenter
        What the user may ask for, as in napari.
    threshold
        Of the uncertainty when it is first shown.
    """

    def __init__(
        self,
        worker: Worker,
        queue: CallQueue,
        *,
        preferences: Preferences | None = None,
        writer: CorrectionWriter | None = None,
        host: Host | None = None,
    ) -> None:
        self.preferences = preferences or Preferences()
        self.queue = queue
        self.threshold = uncertainty_maps.THRESHOLD
        writer = writer or CorrectionWriter(
            reader=lambda: self.preferences.reader, software={"slicer": versions.version_text()}
        )
        adapter = self.adapter = SceneAdapter(self, host or NoHost())
        self.session = Session(worker, adapter.dispatch, writer)
        self.presenter = Presenter(self.session, adapter, self.preferences)
        self._entries: list[SceneImage] = []
        self.session.subscribe(self._on_event)
        self._watch = SceneWatch(slicer.mrmlScene, self._on_removed, self.clear, self._on_loaded)

    # Images

    @property
    def entries(self) -> tuple[SceneImage, ...]:
        """The images that were opened, in the order in which they were opened."""
        return tuple(self._entries)

    def entry_of(self, node: Any) -> SceneImage | None:
        """Return the state of an image; None for one that was not opened."""
        if node is None:
            return None
        for entry in self._entries:
            if node in (entry.source.node, entry.source.sequence):
                return entry
        return None

    def entry_with(self, key: str | None) -> SceneImage | None:
        """Return an image by its key in the session."""
        return next((entry for entry in self._entries if entry.key == key), None)

    def open(self, node: Any) -> SceneImage:
        """Open an image with its results in the scene; open it again if it was changed.

        Raises
        ------
        FlomoError
            If it is no image that can be segmented.
        """
        source = source_of(node)
        refresh(source)  # a loaded scene may show a frame otherwise than the sequence has it
        entry, state = self.entry_of(source.node), source.state
        if entry is not None and entry.state == state:
            entry.source = source
            return entry
        volume = volume_of(source)
        if entry is not None:
            self._forget(entry, results_too=True)
        key = self.session.add(volume, source.node.GetName())
        entry = SceneImage(key, source, state, Record.of(source.node))
        self._entries.append(entry)
        scene_sync.restore(self.session, entry)
        entry.watch()
        return entry

    def known(self, node: Any) -> SceneImage | None:
        """Open an image if the scene has results of it, as after loading; else return None."""
        entry = self.entry_of(node)
        if entry is None and node is not None:
            source = source_of(node)
            if Record.of(source.node) is not None:
                entry = self.open(node)
        return entry

    # Work

    def segment(
        self,
        node: Any,
        model: str,
        device: str,
        choice: str,
        *,
        mirrored: bool = False,
    ) -> None:
        """Start to segment an image; ask first if that would overwrite work of the user.

        Parameters
        ----------
        node
            A volume, or a sequence of volumes.
        model, device, mirrored
            See `Session.segment`.
        choice
            ``"slice"``: the one in the main view; ``"stack"``: the frame on the screen; ``"all"``.

        Raises
        ------
        FlomoError
            If the image, the model or the moment does not allow it.
        """
        entry = self.open(node)
        self.presenter.segment(
            entry.key, model, device, self.scope(entry, choice), mirrored=mirrored
        )

    def scope(self, entry: SceneImage, choice: str) -> Scope:
        """Return the scope of a choice in the panel."""
        return Scope.of_choice(choice, views.slice_on_screen(entry.source), entry.source.n_frames)

    def show_map(self, entry: SceneImage, name: str) -> None:
        """Show another uncertainty map that an image has.

        Raises
        ------
        FlomoError
            If the image was changed since it was segmented.
        """
        self._check_unchanged(entry)
        self.presenter.show_map(entry.key, name)

    def compute_map(self, entry: SceneImage | None, name: str, device: str, model: str = "") -> Run:
        """Start to compute an uncertainty map; see `Presenter.compute_map`.

        Raises
        ------
        FlomoError
            If there are no labels yet, the image was changed since, or something is under way.
        """
        if entry is not None:
            self._check_unchanged(entry)
        return self.presenter.compute_map(None if entry is None else entry.key, name, device, model)

    def take_strokes(self, entry: SceneImage) -> list[SliceIndex]:
        """Report what was painted in the Segment Editor; return the changed slices."""
        return strokes.take(self.session, entry)

    def look(self) -> None:
        """Report what was painted on any image and whether it was saved; called by a timer."""
        for entry in self._entries:
            strokes.take(self.session, entry, everywhere=False)
            strokes.report_saved(self.session, entry)

    # The end

    def clear(self) -> None:
        """Forget all images, as when the scene closes; what runs is cancelled, nodes stay."""
        for entry in tuple(self._entries):
            self._forget(entry)

    def close(self) -> None:
        """End the child process and write what was accepted."""
        self._watch.end()
        self.clear()
        self.queue.closed = True
        self.session.close()

    # Events

    def _on_event(self, event: Event) -> None:
        entry = self.entry_with(getattr(event, "key", None))
        if entry is None:
            return
        if isinstance(event, LabelsChanged | ReviewChanged):
            scene_sync.note(self.session, entry)
        elif isinstance(event, LocksChanged) and entry.record is not None and not entry.restoring:
            known = self.session.image(entry.key).segmentation
            if known is not None and entry.record.segmentation is not None:
                segment_nodes.set_completed(entry.record.segmentation, known.card, event.locked)

    def _on_removed(self, node: Any) -> None:
        for entry in tuple(self._entries):
            record = entry.record
            if node in (entry.source.node, entry.source.sequence):
                self._forget(entry, results_too=True)
            elif record is not None and node in (record.segmentation, record.node):
                self._forget(entry, results_too=node is record.segmentation)

    def _on_loaded(self) -> None:
        """Forget images whose results a loaded scene brought; they are restored when chosen."""
        for entry in tuple(self._entries):
            if entry.record is None and Record.of(entry.source.node) is not None:
                self._forget(entry)

    def _forget(self, entry: SceneImage, *, results_too: bool = False) -> None:
        self.take_strokes(entry)
        self._entries.remove(entry)
        entry.unwatch()
        strokes.report_saved(self.session, entry)
        self.session.remove(entry.key)
        if results_too and entry.record is not None:
            entry.record.forget()

    @staticmethod
    def _check_unchanged(entry: SceneImage) -> None:
        if entry.source.state != entry.state:
            raise FlomoError("This image was changed after it was segmented; segment it again.")
