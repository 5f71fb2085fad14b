"""The `ViewerAdapter` of Slicer: shows what a session decides in the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import slicer

from FLoMoSegmentationLib import (
    compat,
    scene_io,
    scene_sync,
    segment_edits,
    segment_nodes,
    slice_views,
    uncertainty,
    visibility,
)
from FLoMoSegmentationLib.result_nodes import ResultNodes
from napari_flomo.errors import FlomoError
from napari_flomo.session import FOR_REVIEW, messages

if TYPE_CHECKING:
    from FLoMoSegmentationLib.image_registry import ImageRegistry
    from FLoMoSegmentationLib.scene_image import SceneImage
    from FLoMoSegmentationLib.worker_process import CallQueue
    from napari_flomo.session import Message, NotShown, Reasons, SliceIndex
    from napari_flomo.volumes import Volume


class Host(Protocol):
    """The user interface around the adapter."""

    def editor(self) -> Any:
        """Return the Segment Editor widget, for its undo; None without one."""

    def notify(self, message: Message) -> None:
        """Show a message."""

    def ask(self, question: Message) -> None:
        """Ask a question; call the action of the chosen choice, none if the user cancels."""

    def chosen_image(self) -> Any:
        """Return the node of the chosen image; None without one."""

    def choose_image(self, node: Any) -> None:
        """Choose another image."""

    def refresh(self, *, views: bool = True) -> None:
        """Show the results of the chosen image; with ``views`` also that in the slice views."""


class HeadlessHost:
    """A `Host` without a user interface, for scripts: labels are overwritten without asking."""

    def editor(self) -> Any:
        """Return None."""
        return None

    def notify(self, message: Message) -> None:
        """Do nothing."""

    def ask(self, question: Message) -> None:
        """Agree to overwrite labels, and to nothing else."""
        if question.level == "warning":
            question.choices[-1].action()

    def chosen_image(self) -> Any:
        """Return None."""
        return None

    def choose_image(self, node: Any) -> None:
        """Do nothing."""

    def refresh(self, *, views: bool = True) -> None:
        """Do nothing."""


class SceneAdapter:
    """The `ViewerAdapter` of a scene.

    Parameters
    ----------
    images
        The images that are open in the session.
    queue
        Calls functions in Slicer's main thread.
    host
        The module's widget.
    """

    undo_hint = "Undo in the Segment Editor"

    def __init__(self, images: ImageRegistry, queue: CallQueue, host: Host) -> None:
        self._images = images
        self._session = images.session
        self._queue = queue
        self._host = host

    def dispatch(self, action: Callable[[], None]) -> None:
        """Call a function in Slicer's main thread; may be called from any thread."""

        def read_and_call() -> None:
            run = self._session.running
            if run is not None and run.key is not None:
                self.read_labels(run.key)  # a result is merged with what was painted before
            action()

        self._queue.put(read_and_call)

    def notify(self, message: Message) -> None:
        """Show a message at the top of the module."""
        self._host.notify(message)

    def ask(self, question: Message) -> None:
        """Ask a question in a dialog."""
        self._host.ask(question)

    def chosen_image(self) -> str | None:
        """Return the key of the chosen image; None without one."""
        node = self._host.chosen_image()
        try:
            return None if node is None else self._images.open(node).key
        except FlomoError:
            return None

    def position(self, key: str) -> SliceIndex:
        """Return the slice in the main view."""
        return slice_views.slice_on_screen(self._image(key).nodes)

    def not_shown(self, key: str, reasons: Reasons = FOR_REVIEW) -> NotShown | None:
        """Return the first of ``reasons`` why an image or its labels cannot be seen, or None.

        A script looks at no view, so it sees everything.
        """
        if isinstance(self._host, HeadlessHost):
            return None
        return visibility.not_shown(self._image(key), reasons)

    def show_slices(self, key: str) -> None:
        """Show the slices of an image and its labels in the main view."""
        if self._image(key).segmentation is None:
            self.show_labels(key)
        visibility.show_slices(self._image(key))

    def go_to(self, key: str, index: SliceIndex) -> None:
        """Show a slice in all views."""
        slice_views.jump(self._image(key).nodes, index)

    def warm_up(self) -> None:
        """Do nothing; Slicer has loaded all it needs."""

    def prepare_image(self, volume: Volume) -> None:
        """Do nothing; Slicer adds an image quickly."""

    def add_image(self, volume: Volume, name: str) -> str:
        """Add an image to the scene, choose it and return its key."""
        scene_image = self._images.open(scene_io.add_image(volume, name))
        self._host.choose_image(scene_image.nodes.volume)
        self._host.refresh()
        return scene_image.key

    def remove_image(self, key: str) -> None:
        """Remove an image from the scene."""
        scene_io.remove_image(self._image(key).nodes)

    def read_labels(self, key: str) -> None:
        """Report what was painted and locked in the Segment Editor."""
        scene_image = self._images.with_key(key)
        if scene_image is not None:
            segment_edits.report(self._session, scene_image)
            segment_edits.report_locks(self._session, scene_image)

    def show_labels(self, key: str) -> None:
        """Write labels, uncertainty and state of an image into the scene."""
        scene_image, image = self._image(key), self._session.image(key)
        assert image.segmentation is not None
        nodes = scene_image.nodes
        results = scene_image.results = scene_image.results or ResultNodes.add(nodes.volume)
        if scene_image.shows(image.steps.current):  # after an undo or redo
            scene_sync.show_other_frames(nodes, results.segmentation, image)
        else:
            if results.segmentation is not None:
                compat.save_for_undo(slicer.mrmlScene, self._host.editor())
            scene_sync.show_labels(nodes, results, image)
        segment_nodes.set_completed(results.segmentation, image.segmentation.card, image.locked)
        scene_sync.write_proposed(nodes, results, image)
        uncertainty.remove_hidden_maps(results)  # they belong to the previous labels
        if image.segmentation.uncertainty:
            uncertainty.show_map(nodes, results, image)
        elif results.uncertainty is not None:
            slicer.mrmlScene.RemoveNode(results.uncertainty)
        scene_sync.save_state(self._session, scene_image)
        scene_image.observe()
        scene_image.painted_frames.clear()
        if self._is_chosen(scene_image):
            self._host.refresh(views=False)

    def focus(self) -> object:
        """Return the chosen image, the effect of the Segment Editor, and the slice views."""
        chosen, editor = self._host.chosen_image(), self._host.editor()
        frame = None
        if chosen is not None:
            scene_image = self._images.of(chosen)
            frame = None if scene_image is None else scene_image.nodes.frame
        effect = None if editor is None else compat.effect_name(editor)
        return chosen, frame, effect, slice_views.state()

    def select_labels(self, key: str) -> None:
        """Show an image with its results in the slice views, if it is the chosen one."""
        if self._is_chosen(self._image(key)):
            self._host.refresh()

    def show_contours(self, contours: bool) -> bool:
        """Show the labels of all images as outlines, or filled.

        Return True: the box of the panel shows what is chosen for later labels.
        """
        for scene_image in self._images.opened:
            node = scene_image.segmentation
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility2DFill(not contours)
        return True

    def show_map(self, key: str, name: str = "") -> None:
        """Show an uncertainty map; by default the one shown before."""
        scene_image = self._image(key)
        if scene_image.results is not None:
            image = self._session.image(key)
            uncertainty.show_map(scene_image.nodes, scene_image.results, image, name)

    def _is_chosen(self, scene_image: SceneImage) -> bool:
        return self._images.of(self._host.chosen_image()) is scene_image

    def _image(self, key: str) -> SceneImage:
        scene_image = self._images.with_key(key)
        if scene_image is None:
            raise FlomoError(messages.NOT_OPEN)
        return scene_image
