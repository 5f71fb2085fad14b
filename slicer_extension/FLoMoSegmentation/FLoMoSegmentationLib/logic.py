"""The module without user interface: connects the scene with a `Session`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from FLoMoSegmentationLib import compat, scene_sync, segment_edits, segment_nodes, slice_views
from FLoMoSegmentationLib.image_registry import ImageRegistry
from FLoMoSegmentationLib.other_segmentations import OtherSegmentations
from FLoMoSegmentationLib.scene_adapter import HeadlessHost, Host, SceneAdapter
from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    ConventionsChanged,
    CorrectionWriter,
    Event,
    LabelsChanged,
    LocksChanged,
    PhasesChanged,
    Preferences,
    Presenter,
    ReviewChanged,
    Run,
    Scope,
    Session,
    SliceIndex,
)

if TYPE_CHECKING:
    from FLoMoSegmentationLib.scene_image import SceneImage
    from FLoMoSegmentationLib.worker_process import CallQueue
    from napari_flomo.session import Worker


class Logic:
    """Segmentation and review of images in the scene.

    Parameters
    ----------
    worker
        Runs tasks in a child process, see `make_worker`.
    queue
        Calls functions in Slicer's main thread; drained by a timer.
    preferences
        The user's, shared with napari.
    writer
        Writes accepted slices; by default into the same correction store as napari.
    host
        The module's widget; None for scripts.

    Attributes
    ----------
    session, presenter
        As in napari.
    images
        The images of the scene that are open in the session.
    adapter
        The `ViewerAdapter` of the scene.
    others
        Segmentations that are not reviewed.
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
        writer = writer or CorrectionWriter(
            reader=lambda: self.preferences.reader, software={"slicer": compat.version_text()}
        )
        self.session = Session(worker, self._dispatch, writer)
        self.images = ImageRegistry(self.session)
        host = host or HeadlessHost()
        self.adapter = SceneAdapter(self.images, queue, host)
        self.others = OtherSegmentations(self.images, host)
        self.presenter = Presenter(self.session, self.adapter, self.preferences)
        self.session.subscribe(self._on_event)

    def segment(
        self, node: Any, model: str, device: str, choice: str, *, mirrored: bool = False
    ) -> None:
        """Start to segment an image; ask first if that would overwrite work of the user.

        Parameters
        ----------
        node
            A volume, or a sequence of volumes.
        model, device, mirrored
            See `Session.segment`.
        choice
            ``"slice"`` for the one in the main view, ``"stack"`` for the current frame, or
            ``"all"``.

        Raises
        ------
        FlomoError
            If the image or the model cannot be used, or another task is running.
        """
        scene_image = self.images.open(node)
        scope = self.scope(scene_image, choice)
        self.presenter.segment(scene_image.key, model, device, scope, mirrored=mirrored)

    def scope(self, scene_image: SceneImage, choice: str) -> Scope:
        """Return the scope of a choice in the panel."""
        nodes = scene_image.nodes
        return Scope.of_choice(choice, slice_views.slice_on_screen(nodes), nodes.n_frames)

    def show_map(self, scene_image: SceneImage, name: str) -> None:
        """Show another computed uncertainty map.

        Raises
        ------
        FlomoError
            If the image was changed since it was segmented.
        """
        _check_unchanged(scene_image)
        self.adapter.show_map(scene_image.key, name)

    def compute_map(
        self, scene_image: SceneImage | None, name: str, device: str, model: str = ""
    ) -> Run:
        """Start to compute an uncertainty map; see `Presenter.compute_map`.

        Raises
        ------
        FlomoError
            If there are no labels, the image was changed since, or another task is running.
        """
        if scene_image is not None:
            _check_unchanged(scene_image)
        key = None if scene_image is None else scene_image.key
        return self.presenter.compute_map(key, name, device, model)

    def report_edits(self, scene_image: SceneImage) -> list[SliceIndex]:
        """Report what was painted in the Segment Editor; return the changed slices."""
        return segment_edits.report(self.session, scene_image)

    def poll(self) -> None:
        """Report what was painted on any image and whether it was saved; called by a timer."""
        for scene_image in self.images.opened:
            segment_edits.report(self.session, scene_image, all_frames=False)
            segment_edits.report_saved(self.session, scene_image)
        self.others.report()

    def close(self) -> None:
        """Close all images, write what was accepted and end the child process."""
        self.others.close()
        self.images.close()
        self.queue.closed = True
        self.session.close()

    def _dispatch(self, action: Callable[[], None]) -> None:
        self.adapter.dispatch(action)  # which is created after the session

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ConventionsChanged):
            for opened in self.images.opened:
                scene_sync.save_state(self.session, opened)
        scene_image = self.images.with_key(getattr(event, "key", None))
        if scene_image is None:
            return
        if isinstance(event, LabelsChanged | PhasesChanged | ReviewChanged):
            scene_sync.save_state(self.session, scene_image)
        elif isinstance(event, LocksChanged) and not scene_image.restoring:
            known, node = self.session.image(event.key).segmentation, scene_image.segmentation
            if known is not None and node is not None:
                segment_nodes.set_completed(node, known.card, event.locked)


def _check_unchanged(scene_image: SceneImage) -> None:
    if scene_image.nodes.fingerprint != scene_image.fingerprint:
        raise FlomoError("This image was changed after it was segmented; segment it again.")
