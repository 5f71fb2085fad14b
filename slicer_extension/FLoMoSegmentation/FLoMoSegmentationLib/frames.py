"""One node for a stack, a sequence of nodes for a cine: results have the shape of their image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from numpy.typing import NDArray

from FLoMoSegmentationLib.axes import from_node, to_node
from FLoMoSegmentationLib.images import ijk_to_ras, matrix_of

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source
    from napari_flomo.session import OpenImage
    from napari_flomo.volumes import Volume


def make_node(source: Source, kind: str, name: str, *, editable: bool = False) -> Any:
    """Add a node for a result of an image, next to the image.

    For a cine a sequence of nodes is added and played by the browser of the image; the node that is
    returned shows the frame on the screen.

    Parameters
    ----------
    source
        The image.
    kind
        Class of the node, such as ``"vtkMRMLSegmentationNode"``.
    name
        What the user reads.
    editable
        Whether changes of the frame on the screen are kept in the sequence.
    """
    scene = slicer.mrmlScene
    if source.sequence is None:
        node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name))
    else:
        sequence = _sequence(source, kind, f"{name} sequence")
        source.browser.AddSynchronizedSequenceNode(sequence)
        source.browser.SetOverwriteProxyName(sequence, False)
        source.browser.SetSaveChanges(sequence, editable)
        refresh(source)
        node = source.browser.GetProxyNode(sequence)
        node.SetName(scene.GenerateUniqueName(name))
    attach_to_image(source, node)
    return node


def make_hidden(source: Source, kind: str, name: str) -> Any:
    """Add what is to be saved with the scene but not to be seen: a node, or a sequence of them."""
    if source.sequence is None:
        node = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))
    else:
        node = _sequence(source, kind, name)
    node.SetHideFromEditors(True)
    return node


def frame_nodes(source: Source, node: Any) -> list[Any]:
    """Return the nodes that hold the frames of a result, one for a stack."""
    holder = stored(source, node)
    if not holder.IsA("vtkMRMLSequenceNode"):
        return [node]
    return [holder.GetNthDataNode(index) for index in range(holder.GetNumberOfDataNodes())]


def stored(source: Source, node: Any) -> Any:
    """Return the node whose file holds a result: itself, or the sequence of a cine."""
    sequence = None if source.browser is None else source.browser.GetSequenceNode(node)
    return node if sequence is None else sequence


def refresh(source: Source) -> None:
    """Show what was written into the frames of a cine; nothing to do for a stack."""
    if source.browser is not None:
        if source.browser.GetSelectedItemNumber() < 0:
            source.browser.SetSelectedItemNumber(0)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(source.browser)


def attach_to_image(source: Source, node: Any) -> None:
    """Put a result where its image is: under its transform, beside it in the subject hierarchy."""
    node.SetAndObserveTransformNodeID(source.node.GetTransformNodeID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    image, item = (hierarchy.GetItemByDataNode(one) for one in (source.node, node))
    if image and item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(image))


def write_voxels(source: Source, node: Any, frames: NDArray[Any]) -> None:
    """Write ``(frames, slices, rows, columns)`` into a volume or sequence, on the image's grid."""
    grid = matrix_of(ijk_to_ras(source.node))
    stacks = to_node(source, frames)
    for target, frame in zip(frame_nodes(source, node), stacks, strict=True):
        target.SetIJKToRASMatrix(grid)
        slicer.util.updateVolumeFromArray(target, frame)
    refresh(source)


def read_voxels(source: Source, node: Any) -> NDArray[Any]:
    """Return the voxels of a result: ``(frames, slices, rows, columns)`` as of the image."""
    axis, frames = ijk_to_ras(source.node)[:3, 2], []
    for one in frame_nodes(source, node):
        voxels = slicer.util.arrayFromVolume(one)
        frames.append(voxels if ijk_to_ras(one)[:3, 2] @ axis > 0 else voxels[::-1])
    return from_node(source, np.stack(frames))


def with_frames(data: NDArray[Any]) -> NDArray[Any]:
    """Return an array with frames, one where there are none."""
    return data if data.ndim == 4 else data[np.newaxis]


def on_grid(image: OpenImage, stack: NDArray[Any]) -> Volume:
    """Return ``(frames, slices, rows, columns)`` on the grid of an image, with its axes."""
    moving = "frames" in image.volume.axes
    axes = tuple(name for name in image.volume.axes if name != "channels")
    return image.volume.with_data(stack if moving else stack[0], axes=axes)


def _sequence(source: Source, kind: str, name: str) -> Any:
    """Add a sequence with an empty node for each frame of a cine."""
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", scene.GenerateUniqueName(name))
    sequence.SetIndexName(source.sequence.GetIndexName())
    sequence.SetIndexUnit(source.sequence.GetIndexUnit())
    sequence.SetIndexType(source.sequence.GetIndexType())
    empty = scene.CreateNodeByClass(kind)
    empty.UnRegister(None)
    empty.SetName(name)
    for index in range(source.n_frames):
        sequence.SetDataNodeAtValue(empty, source.sequence.GetNthIndexValue(index))
    return sequence
