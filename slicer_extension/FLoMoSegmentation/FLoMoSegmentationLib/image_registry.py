"""The images of the scene that are open in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import vtk

from FLoMoSegmentationLib import scene_sync, segment_edits
from FLoMoSegmentationLib.images import image_nodes, volume_of
from FLoMoSegmentationLib.result_nodes import ResultNodes
from FLoMoSegmentationLib.scene_image import SceneImage
from FLoMoSegmentationLib.sequences import update_proxy_nodes

if TYPE_CHECKING:
    from napari_flomo.session import Session


class ImageRegistry:
    """Opens images of the scene in a session and closes those whose nodes are removed.

    Attributes
    ----------
    session
        The session.
    opened
        The open images, in the order in which they were opened.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.opened: tuple[SceneImage, ...] = ()
        scene = slicer.mrmlScene
        self._tags = [
            scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._on_node_removed),
            scene.AddObserver(scene.StartCloseEvent, lambda *_: self.clear()),
            scene.AddObserver(scene.EndImportEvent, lambda *_: self._on_scene_loaded()),
        ]

    def of(self, node: Any) -> SceneImage | None:
        """Return the open image of a volume or sequence node; None if it is not open."""
        found = (one for one in self.opened if node in (one.nodes.volume, one.nodes.sequence))
        return None if node is None else next(found, None)

    def with_key(self, key: str | None) -> SceneImage | None:
        """Return an open image by its key in the session."""
        return next((one for one in self.opened if one.key == key), None)

    def open(self, node: Any) -> SceneImage:
        """Open an image with its results in the scene; open it again if it was changed.

        Raises
        ------
        FlomoError
            If the node is not an image that can be segmented.
        """
        nodes = image_nodes(node)
        update_proxy_nodes(nodes)  # after loading, a proxy node may differ from its sequence
        scene_image, fingerprint = self.of(nodes.volume), nodes.fingerprint
        if scene_image is not None and scene_image.fingerprint == fingerprint:
            scene_image.nodes = nodes
            return scene_image
        volume = volume_of(nodes)
        if scene_image is not None:
            self._close_image(scene_image, remove_results=True)
        # Names of nodes often contain patient names.
        key = self.session.add(volume, nodes.volume.GetName(), safe_name="")
        scene_image = SceneImage(key, nodes, fingerprint, ResultNodes.of(nodes.volume))
        self.opened += (scene_image,)
        scene_sync.restore(self.session, scene_image)
        scene_image.observe()
        return scene_image

    def open_segmented(self, node: Any) -> SceneImage | None:
        """Return an open image, or open it if the scene has results of it; else return None."""
        found = self.of(node)
        if found is not None or node is None or ResultNodes.of(image_nodes(node).volume) is None:
            return found
        return self.open(node)

    def clear(self) -> None:
        """Close all images and cancel their runs; the nodes stay."""
        for scene_image in self.opened:
            self._close_image(scene_image)

    def close(self) -> None:
        """Close all images and stop observing the scene."""
        for tag in self._tags:
            slicer.mrmlScene.RemoveObserver(tag)
        self._tags.clear()
        self.clear()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, scene: Any, _event: str, node: Any) -> None:
        if scene.IsClosing():
            return
        for scene_image in self.opened:
            results = scene_image.results
            if node in (scene_image.nodes.volume, scene_image.nodes.sequence):
                self._close_image(scene_image, remove_results=True)
            elif results is not None and node in (results.segmentation, results.node):
                self._close_image(scene_image, remove_results=node is results.segmentation)

    def _on_scene_loaded(self) -> None:
        """Close images whose results were loaded; they are restored when chosen."""
        for scene_image in self.opened:
            if scene_image.results is None and ResultNodes.of(scene_image.nodes.volume) is not None:
                self._close_image(scene_image)

    def _close_image(self, scene_image: SceneImage, *, remove_results: bool = False) -> None:
        segment_edits.report(self.session, scene_image)
        self.opened = tuple(one for one in self.opened if one is not scene_image)
        scene_image.remove_observers()
        segment_edits.report_saved(self.session, scene_image)
        self.session.remove(scene_image.key)
        if remove_results and scene_image.results is not None:
            scene_image.results.remove()
