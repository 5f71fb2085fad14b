"""What the module does, without any window: the scene on one side, a `Session` on the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib import scene_sync, strokes, versions, views
from FLoMoSegmentationLib.entries import Entry, SceneWatch
from FLoMoSegmentationLib.frames import refresh
from FLoMoSegmentationLib.images import source_of, volume_of
from FLoMoSegmentationLib.record import Record
from FLoMoSegmentationLib.uncertainty import THRESHOLD
from napari_flomo.session import (
    AutosaveChanged,
    CorrectionWriter,
    EarlierFound,
    Event,
    LabelsChanged,
    Place,
    Preferences,
    ReviewChanged,
    Run,
    RunFinished,
    Scope,
    Session,
    messages,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.runner import Pump
    from napari_flomo.jobs import Worker


class Logic:
    """The images of the scene and the work on them.

    Parameters
    ----------
    worker
        Does the long work in a child process, see `make_worker`.
    pump
        Drained by a timer in Slicer's own thread; all reports come through it.
    preferences
        The user's, shared with napari.
    writer
        Keeps accepted slices; by default in the same store of corrections as napari.
    editor
        Returns the Segment Editor widget, for its undo; None where there is none.
    say
        Called with a sentence and its level ("info", "warning") when strokes cannot be written.

    Attributes
    ----------
    session
        Images, runs, review and measures, as in napari.
    threshold
        Of the uncertainty when it is first shown.
    """

    def __init__(
        self,
        worker: Worker,
        pump: Pump,
        *,
        preferences: Preferences | None = None,
        writer: CorrectionWriter | None = None,
        editor: Callable[[], Any] = lambda: None,
        say: Callable[[str, str], None] = lambda _text, _level: None,
    ) -> None:
        self.preferences = preferences or Preferences()
        self.pump = pump
        self.threshold = THRESHOLD
        writer = writer or CorrectionWriter(
            reader=lambda: self.preferences.reader, software={"slicer": versions.version_text()}
        )
        self.session = Session(worker, self._dispatch, writer)
        self.editor = editor
        self._say = say
        self._entries: list[Entry] = []
        self.session.subscribe(self._on_event)
        self._watch = SceneWatch(slicer.mrmlScene, self._on_removed, self.clear, self._on_loaded)

    # Images

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The images that were worked on, in the order they came."""
        return tuple(self._entries)

    def entry_of(self, node: Any) -> Entry | None:
        """Return what is known of an image; None for one that nobody worked on."""
        if node is None:
            return None
        for entry in self._entries:
            if node in (entry.source.node, entry.source.sequence):
                return entry
        return None

    def open(self, node: Any) -> Entry:
        """Take an image up, with what the scene knows of it; one that was changed is taken anew.

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
        entry = Entry(key, source, state, Record.of(source.node))
        self._entries.append(entry)
        scene_sync.bring_back(self.session, entry)
        entry.watch()
        return entry

    def known(self, node: Any) -> Entry | None:
        """Take an image up if the scene has results of it, as after it was loaded; else None."""
        entry = self.entry_of(node)
        if entry is None and node is not None:
            source = source_of(node)
            if Record.of(source.node) is not None:
                entry = self.open(node)
        return entry

    # Work

    def segment(
        self, node: Any, model: str, device: str, scope: str, *, mirrored: bool = False
    ) -> Run:
        """Start to segment an image.

        Parameters
        ----------
        node
            A volume, or a sequence of volumes.
        model, device
            As everywhere.
        scope
            ``"slice"``: the one in the main view; ``"stack"``: the frame on the screen; ``"all"``.
        mirrored
            Whether the mean over mirrored views counts.

        Raises
        ------
        FlomoError
            If the image, the model or the moment does not allow it.
        """
        entry = self.open(node)
        self.take_strokes(entry)
        strokes.take_locks(self.session, entry)
        part = self.scope(entry, scope)
        run = self.session.segment(entry.key, model, device, part, mirrored=mirrored)
        self.preferences.model, self.preferences.device = model, device
        self.preferences.mirrored = mirrored
        return run

    def scope(self, entry: Entry, name: str) -> Scope:
        """Return what part of an image is meant by this slice, this stack or all frames."""
        place = views.place_on_screen(entry.source)
        frames = (place.frame,) if entry.source.n_frames > 1 else None
        if name == "slice":
            return Scope((place.slice,), frames)
        return Scope(None, frames if name == "stack" else None)

    def corrected_slices(self, entry: Entry, scope: Scope) -> int:
        """Return how many slices that a person corrected would be found anew."""
        image = self.session.image(entry.key)
        if image.labels is None or image.segmentation is None:
            return 0
        self.take_strokes(entry)
        differs = image.labels.data != image.segmentation.labels.data
        slices = differs.any(axis=(-2, -1)).reshape(image.volume.n_frames, -1)
        return int((slices & scope.mask(*slices.shape)).sum())

    def take_strokes(self, entry: Entry) -> list[Place]:
        """Take over what was painted in the Segment Editor; return the slices that changed."""
        return strokes.take(self.session, entry)

    def look(self) -> None:
        """Take over and write down what was painted on any image, as a timer does now and then."""
        for entry in self._entries:
            strokes.take(self.session, entry, everywhere=False)
            strokes.report_saved(self.session, entry)

    # Review: each goes to the slice and returns where that is, or None for nowhere.

    def next(self, entry: Entry) -> Place | None:
        """Go to the next uncertain slice."""
        self.take_strokes(entry)
        return self._gone(entry, self.session.review_next(entry.key))

    def previous(self, entry: Entry) -> Place | None:
        """Go back to the slice before in the review."""
        return self._gone(entry, self.session.review_previous(entry.key))

    def go_to(self, entry: Entry, place: Place) -> Place | None:
        """Go to a slice of the review."""
        return self._gone(entry, self.session.review_go_to(entry.key, place))

    def accept(self, entry: Entry) -> Place | None:
        """Accept the slice on the screen, have it kept for learning, and go on."""
        self.take_strokes(entry)
        self.session.review_go_to(entry.key, views.place_on_screen(entry.source))
        return self._gone(entry, self.session.review_accept(entry.key))

    # The end

    def clear(self) -> None:
        """Forget all images, as when the scene closes; what runs is cancelled, nodes stay."""
        for entry in tuple(self._entries):
            self._forget(entry)

    def close(self) -> None:
        """End the child process and write what was accepted."""
        self._watch.end()
        self.clear()
        self.pump.closed = True
        self.session.close()

    # How results come into the scene

    def _dispatch(self, action: Callable[[], None]) -> None:
        def take_in() -> None:
            run = self.session.running
            entry = self._by_key(run.key) if run is not None else None
            if entry is not None:
                self.take_strokes(entry)  # before a result is merged with what was painted
            action()

        self.pump.put(take_in)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, AutosaveChanged):
            level = "warning" if event.problem else "info"
            self._say(messages.autosave_text(event.problem), level)
        of = event.run if isinstance(event, RunFinished) else event
        entry = self._by_key(getattr(of, "key", None))
        if entry is None:
            return
        if isinstance(event, RunFinished):
            first = entry.record is None
            scene_sync.show(self.session, entry, event.run, self.threshold, self.editor())
            if first:
                self.session.recall(entry.key)
        elif isinstance(event, EarlierFound):
            entry.earlier = event.earlier
        elif isinstance(event, LabelsChanged | ReviewChanged):
            scene_sync.note(self.session, entry)

    def _gone(self, entry: Entry, place: Place | None) -> Place | None:
        if place is not None:
            views.jump(entry.source, place)
        return place

    def _by_key(self, key: str | None) -> Entry | None:
        return next((entry for entry in self._entries if entry.key == key), None)

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

    def _forget(self, entry: Entry, *, results_too: bool = False) -> None:
        self.take_strokes(entry)
        self._entries.remove(entry)
        entry.unwatch()
        strokes.report_saved(self.session, entry)
        self.session.remove(entry.key)
        if results_too and entry.record is not None:
            entry.record.forget()
