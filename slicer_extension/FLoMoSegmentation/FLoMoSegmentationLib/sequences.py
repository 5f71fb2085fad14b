"""Result nodes in the shape of their image: one node for a stack, a sequence for a cine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from numpy.typing import NDArray

from FLoMoSegmentationLib.images import ijk_to_ras, matrix_of
from FLoMoSegmentationLib.slice_axis import from_node_order, to_node_order

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import ImageNodes
    from napari_flomo.session import OpenImage
    from napari_flomo.volumes import Volume


def add_node(nodes: ImageNodes, class_name: str, name: str, *, save_changes: bool = False) -> Any:
    """Add a result node beside an image and return it.

    For a cine, a sequence is added to the browser of the image and its proxy node is returned.

    Parameters
    ----------
    nodes
        The image.
    class_name
        Class of the node, such as ``"vtkMRMLSegmentationNode"``.
    name
        Name of the node.
    save_changes
        Whether changes of the proxy node are written to the sequence.
    """
    scene = slicer.mrmlScene
    if nodes.sequence is None:
        node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(name))
    else:
        sequence = _add_sequence(nodes, class_name, f"{name} sequence")
        nodes.browser.AddSynchronizedSequenceNode(sequence)
        nodes.browser.SetOverwriteProxyName(sequence, False)
        nodes.browser.SetSaveChanges(sequence, save_changes)
        update_proxy_nodes(nodes)
        node = nodes.browser.GetProxyNode(sequence)
        node.SetName(scene.GenerateUniqueName(name))
    attach_to_image(nodes, node)
    return node


def add_hidden_node(nodes: ImageNodes, class_name: str, name: str) -> Any:
    """Add a node, or a sequence for a cine, that is saved with the scene but not shown."""
    scene = slicer.mrmlScene
    if nodes.sequence is None:
        node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(name))
    else:
        node = _add_sequence(nodes, class_name, name)
    node.SetHideFromEditors(True)
    return node


def frame_nodes(nodes: ImageNodes, node: Any) -> list[Any]:
    """Return the nodes with the frames of a result; one for a stack."""
    holder = storable_node(nodes, node)
    if not holder.IsA("vtkMRMLSequenceNode"):
        return [node]
    return [holder.GetNthDataNode(index) for index in range(holder.GetNumberOfDataNodes())]


def storable_node(nodes: ImageNodes, node: Any) -> Any:
    """Return the node that is written to a file: the sequence of a proxy node, else the node."""
    sequence = None if nodes.browser is None else nodes.browser.GetSequenceNode(node)
    return node if sequence is None else sequence


def update_proxy_nodes(nodes: ImageNodes) -> None:
    """Update the proxy nodes of a cine from its sequences; does nothing for a stack."""
    if nodes.browser is not None:
        if nodes.browser.GetSelectedItemNumber() < 0:
            nodes.browser.SetSelectedItemNumber(0)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(nodes.browser)


def attach_to_image(nodes: ImageNodes, node: Any) -> None:
    """Give a result the parent transform and the subject hierarchy parent of its image."""
    node.SetAndObserveTransformNodeID(nodes.volume.GetTransformNodeID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    image, item = (hierarchy.GetItemByDataNode(one) for one in (nodes.volume, node))
    if image and item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(image))


def write_voxels(nodes: ImageNodes, node: Any, frames: NDArray[Any]) -> None:
    """Write ``(frames, slices, rows, columns)`` into a volume or sequence, on the image's grid."""
    grid = matrix_of(ijk_to_ras(nodes.volume))
    stacks = to_node_order(nodes, frames)
    for target, frame in zip(frame_nodes(nodes, node), stacks, strict=True):
        target.SetIJKToRASMatrix(grid)
        slicer.util.updateVolumeFromArray(target, frame)
    update_proxy_nodes(nodes)


def read_voxels(nodes: ImageNodes, node: Any) -> NDArray[Any]:
    """Return the voxels of a result, ``(frames, slices, rows, columns)`` in the image's order."""
    axis, frames = ijk_to_ras(nodes.volume)[:3, 2], []
    for one in frame_nodes(nodes, node):
        voxels = slicer.util.arrayFromVolume(one)
        frames.append(voxels if ijk_to_ras(one)[:3, 2] @ axis > 0 else voxels[::-1])
    return from_node_order(nodes, np.stack(frames))


def with_frames(data: NDArray[Any]) -> NDArray[Any]:
    """Return an array with a frame axis, which is added to a single stack."""
    return data if data.ndim == 4 else data[np.newaxis]


def on_image_grid(image: OpenImage, frames: NDArray[Any]) -> Volume:
    """Return ``(frames, slices, rows, columns)`` as a volume with the grid and axes of an image."""
    axes = tuple(name for name in image.volume.axes if name != "channels")
    return image.volume.with_data(frames if "frames" in axes else frames[0], axes=axes)


def _add_sequence(nodes: ImageNodes, class_name: str, name: str) -> Any:
    """Add a sequence with an empty node for each frame of a cine."""
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", scene.GenerateUniqueName(name))
    sequence.SetIndexName(nodes.sequence.GetIndexName())
    sequence.SetIndexUnit(nodes.sequence.GetIndexUnit())
    sequence.SetIndexType(nodes.sequence.GetIndexType())
    empty = scene.CreateNodeByClass(class_name)
    empty.UnRegister(None)
    empty.SetName(name)
    for index in range(nodes.n_frames):
        sequence.SetDataNodeAtValue(empty, nodes.sequence.GetNthIndexValue(index))
    return sequence
