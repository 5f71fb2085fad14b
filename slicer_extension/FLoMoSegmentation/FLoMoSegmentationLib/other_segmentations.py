"""Segmentations on an image under review, such as a clone, that are not the reviewed one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from FLoMoSegmentationLib import compat, scene_sync, segment_edits, segment_nodes
from FLoMoSegmentationLib.images import nodes_of_class
from FLoMoSegmentationLib.sequences import frame_nodes, update_proxy_nodes
from FLoMoSegmentationLib.slice_axis import from_node_order, to_node_order
from napari_flomo.session import is_copy, messages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from FLoMoSegmentationLib.image_registry import ImageRegistry
    from FLoMoSegmentationLib.scene_adapter import Host
    from FLoMoSegmentationLib.scene_image import SceneImage

SEGMENTATION = "vtkMRMLSegmentationNode"
USE_TIP = "Take its labels over into the reviewed segmentation, in the frame on the screen"


class OtherSegmentations:
    """Says once for each segmentation that strokes on it do not count; offers to use a copy.

    Parameters
    ----------
    images
        The open images of the scene.
    host
        Shows messages, and has the Segment Editor.
    """

    def __init__(self, images: ImageRegistry, host: Host) -> None:
        self._images = images
        self._host = host
        self._tags: dict[str, tuple[Any, int]] = {}
        self._painted: set[str] = set()
        self._told: set[str] = set()
        scene = slicer.mrmlScene
        self._scene_tags = [
            scene.AddObserver(scene.NodeAddedEvent, self._on_added),
            scene.AddObserver(scene.NodeRemovedEvent, self._on_removed),
        ]
        for node in nodes_of_class(SEGMENTATION):
            self._watch(node)

    def report(self) -> None:
        """Say which segmentations were painted on in vain; called by a timer."""
        painted, self._painted = self._painted - self._told, set()
        for name in painted:
            node = slicer.mrmlScene.GetNodeByID(name)
            if node is None or self._is_reviewed(node):
                continue
            scene_image = next((one for one in self._images.opened if _lies_on(node, one)), None)
            if scene_image is not None:
                self._told.add(name)
                self._tell(node, scene_image)

    def close(self) -> None:
        """Stop observing."""
        for tag in self._scene_tags:
            slicer.mrmlScene.RemoveObserver(tag)
        for node, tag in self._tags.values():
            node.RemoveObserver(tag)
        self._scene_tags.clear()
        self._tags.clear()

    def _tell(self, node: Any, scene_image: SceneImage) -> None:
        image = self._images.session.image(scene_image.key)
        assert image.labels is not None
        frame = scene_image.nodes.frame
        ours = image.labels.data if image.labels.n_frames == 1 else image.labels.data[frame]
        copied = is_copy(self._labels(node, scene_image), ours.reshape(image.volume.spatial_shape))
        use = partial(self._use, node, scene_image, frame) if copied else None
        self._host.notify(
            messages.other_labels_message(
                node.GetName(), image.name, image.key, use, noun="segmentation", tip=USE_TIP
            )
        )

    def _use(self, node: Any, scene_image: SceneImage, frame: int) -> None:
        """Take the labels of a copy over into a frame; Undo in the Segment Editor undoes that."""
        scene, session, nodes = slicer.mrmlScene, self._images.session, scene_image.nodes
        if scene_image not in self._images.opened or not scene.IsNodePresent(node):
            return
        segment_edits.report(session, scene_image)
        image, reviewed = session.image(scene_image.key), scene_image.segmentation
        assert image.segmentation is not None
        card, labels = image.segmentation.card, self._labels(node, scene_image)
        before = scene_sync.read_labels(nodes, reviewed, card, frame)
        locked = list(image.locked)
        kept = np.isin(before, locked) | np.isin(labels, locked)
        if nodes.browser is not None:
            nodes.browser.SetSelectedItemNumber(frame)
            update_proxy_nodes(nodes)
        self._host.choose_image(nodes.volume)
        self._host.refresh(views=False)  # the Segment Editor shows the reviewed segmentation
        compat.save_for_undo(scene, self._host.editor())
        taken = to_node_order(nodes, np.where(kept, before, labels))
        target = frame_nodes(nodes, reviewed)[frame]
        segment_nodes.write_segments(target, taken, card, nodes.volume)
        update_proxy_nodes(nodes)
        segment_edits.report(session, scene_image)
        self._told.discard(node.GetID())
        self._painted.discard(node.GetID())
        for one, shown in ((node, False), (reviewed, True)):
            if one.GetDisplayNode() is not None:
                one.GetDisplayNode().SetVisibility(shown)

    def _labels(self, node: Any, scene_image: SceneImage) -> NDArray[np.uint8]:
        """Return the labels of a segmentation in the axis order of an image."""
        segmentation = self._images.session.image(scene_image.key).segmentation
        assert segmentation is not None
        labels = segment_nodes.read_segments(node, segmentation.card, scene_image.nodes.volume)
        return from_node_order(scene_image.nodes, labels)

    def _is_reviewed(self, node: Any) -> bool:
        return any(node is one.segmentation for one in self._images.opened)

    def _watch(self, node: Any) -> None:
        name = node.GetID()
        event = slicer.vtkSegmentation.SourceRepresentationModified  # a clone invokes others
        tag = node.AddObserver(event, lambda *_: self._painted.add(name))
        self._tags[name] = (node, tag)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, _scene: Any, _event: str, node: Any) -> None:
        if node.IsA(SEGMENTATION):
            self._watch(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removed(self, _scene: Any, _event: str, node: Any) -> None:
        name = node.GetID()
        watched = self._tags.pop(name, None)
        if watched is not None:
            watched[0].RemoveObserver(watched[1])
        self._told.discard(name)


def _lies_on(node: Any, scene_image: SceneImage) -> bool:
    """Return True if a segmentation has the grid of an image that has labels.

    A clone has the grid of the original, but no reference to its image.
    """
    reviewed = scene_image.segmentation
    return reviewed is not None and _grid(node) == _grid(reviewed)


def _grid(node: Any) -> str:
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    return str(node.GetSegmentation().GetConversionParameter(name))
