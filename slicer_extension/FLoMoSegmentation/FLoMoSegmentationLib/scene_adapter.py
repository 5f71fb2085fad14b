"""What a session shows, in the scene of Slicer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import slicer

from FLoMoSegmentationLib import maps, results, scene_sync, segment_nodes, strokes, versions, views
from FLoMoSegmentationLib.record import Record
from FLoMoSegmentationLib.scene_io import add_image, remove_image
from napari_flomo.errors import FlomoError
from napari_flomo.session import messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.logic import Logic
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.session import Message, SliceIndex
    from napari_flomo.volumes import Volume


class Host(Protocol):
    """What the logic asks of the module's panel."""

    def editor(self) -> Any:
        """Return the Segment Editor widget, for its undo; None without one."""

    def notify(self, message: Message) -> None:
        """Show a message."""

    def ask(self, question: Message) -> None:
        """Put a question; call the action of its choice if the user agrees."""

    def chosen_image(self) -> Any:
        """Return the node of the chosen image; None without one."""

    def choose_image(self, node: Any) -> None:
        """Choose another image."""

    def refresh(self) -> None:
        """Show the chosen image and its results."""


class NoHost:
    """Stands for the panel where there is none, as in scripts: labels may be overwritten."""

    def editor(self) -> Any:
        """Return None."""
        return None

    def notify(self, message: Message) -> None:
        """Ignore a message."""

    def ask(self, question: Message) -> None:
        """Agree to overwrite labels, and to nothing else."""
        if question.level == "warning":
            question.choices[0].action()

    def chosen_image(self) -> Any:
        """Return None."""
        return None

    def choose_image(self, node: Any) -> None:
        """Ignore a choice."""

    def refresh(self) -> None:
        """Show nothing."""


class SceneAdapter:
    """The `ViewerAdapter` of a scene.

    Parameters
    ----------
    logic
        Knows the images of the scene.
    host
        The module's panel.
    """

    undo_hint = "Undo in the Segment Editor"

    def __init__(self, logic: Logic, host: Host) -> None:
        self._logic = logic
        self._host = host

    def dispatch(self, action: Callable[[], None]) -> None:
        """Have a function called by the timer of the module; called from any thread."""

        def read_and_act() -> None:
            run = self._logic.session.running
            if run is not None and run.key is not None:
                self.read_labels(run.key)  # before a result is merged with what was painted
            action()

        self._logic.queue.put(read_and_act)

    def notify(self, message: Message) -> None:
        """Show a message in the Segment section."""
        self._host.notify(message)

    def ask(self, question: Message) -> None:
        """Put a question in a dialog."""
        self._host.ask(question)

    def chosen_image(self) -> str | None:
        """Return the key of the image that is chosen in the panel; None without one."""
        node = self._host.chosen_image()
        try:
            return None if node is None else self._logic.open(node).key
        except FlomoError:
            return None

    def position(self, key: str) -> SliceIndex:
        """Return the slice that the main view shows."""
        return views.slice_on_screen(self._entry(key).source)

    def go_to(self, key: str, index: SliceIndex) -> None:
        """Show a slice in all views."""
        views.jump(self._entry(key).source, index)

    def add_image(self, volume: Volume, name: str) -> str:
        """Add an image to the scene, choose it and return its key."""
        entry = self._logic.open(add_image(volume, name))
        self._host.choose_image(entry.source.node)
        return entry.key

    def remove_image(self, key: str) -> None:
        """Remove an image from the scene."""
        remove_image(self._entry(key).source)

    def read_labels(self, key: str) -> None:
        """Report what was painted and locked in the Segment Editor."""
        entry = self._logic.entry_with(key)
        if entry is not None:
            strokes.take(self._logic.session, entry)
            strokes.take_locks(self._logic.session, entry)

    def show_labels(self, key: str) -> None:
        """Write labels, uncertainty and state of an image into the scene."""
        entry, session = self._entry(key), self._logic.session
        image = session.image(key)
        assert image.segmentation is not None
        record = entry.record = entry.record or Record.make(entry.source.node)
        if record.segmentation is not None:
            versions.save_for_undo(slicer.mrmlScene, self._host.editor())
        results.show_labels(entry.source, record, image)
        segment_nodes.set_completed(record.segmentation, image.segmentation.card, image.locked)
        results.keep_proposed(entry.source, record, image)
        maps.let_go(record)  # of the labels before
        if image.segmentation.uncertainty:
            maps.show(entry.source, record, image, self._logic.threshold)
        elif record.uncertainty is not None:
            slicer.mrmlScene.RemoveNode(record.uncertainty)
        scene_sync.note(session, entry)
        entry.watch()
        entry.painted.clear()
        self._host.refresh()

    def show_map(self, key: str, name: str = "") -> None:
        """Show an uncertainty map; by default the one that was shown before."""
        entry = self._entry(key)
        if entry.record is not None:
            image = self._logic.session.image(key)
            maps.show(entry.source, entry.record, image, self._logic.threshold, name)

    def _entry(self, key: str) -> SceneImage:
        entry = self._logic.entry_with(key)
        if entry is None:
            raise FlomoError(messages.NOT_OPEN)
        return entry
