"""One node for a stack, a sequence of nodes for a cine: results have the shape of their image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

if TYPE_CHECKING:
    from FLoMoSegmentationLib.images import Source


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
    place(source, node)
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
    sequence = node
    if not node.IsA("vtkMRMLSequenceNode"):
        sequence = None if source.browser is None else source.browser.GetSequenceNode(node)
    if sequence is None:
        return [node]
    return [sequence.GetNthDataNode(index) for index in range(sequence.GetNumberOfDataNodes())]


def refresh(source: Source) -> None:
    """Show what was written into the frames of a cine; nothing to do for a stack."""
    if source.browser is not None:
        if source.browser.GetSelectedItemNumber() < 0:
            source.browser.SetSelectedItemNumber(0)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(source.browser)


def place(source: Source, node: Any) -> None:
    """Put a result where its image is: under its transform, beside it in the subject hierarchy."""
    node.SetAndObserveTransformNodeID(source.node.GetTransformNodeID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    image, item = (hierarchy.GetItemByDataNode(one) for one in (source.node, node))
    if image and item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(image))


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
