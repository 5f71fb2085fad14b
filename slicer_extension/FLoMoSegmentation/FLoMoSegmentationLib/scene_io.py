"""Add a volume to the scene: a volume node, or a sequence with a browser for a cine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from FLoMoSegmentationLib.images import image_nodes, matrix_of
from FLoMoSegmentationLib.slice_axis import keep_node_order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from FLoMoSegmentationLib.images import ImageNodes
    from napari_flomo.volumes import Volume


def add_image(volume: Volume, name: str) -> Any:
    """Add a volume to the scene on its own grid.

    Parameters
    ----------
    volume
        ``([frames,] slices, rows, columns[, channels])``.
    name
        Name of the node; made unique.

    Returns
    -------
    vtkMRMLScalarVolumeNode or vtkMRMLVectorVolumeNode
        For a cine, the proxy node of the current frame.
    """
    scene = slicer.mrmlScene
    name = scene.GenerateUniqueName(name)
    colour = "channels" in volume.axes
    kind = "vtkMRMLVectorVolumeNode" if colour else "vtkMRMLScalarVolumeNode"
    if "frames" in volume.axes:
        node = _add_cine(volume, kind, name)
    else:
        node = scene.AddNewNodeByClass(kind, name)
        _write(node, volume.data, volume)
    node.CreateDefaultDisplayNodes()
    keep_node_order(image_nodes(node))
    return node


def remove_image(nodes: ImageNodes) -> None:
    """Remove an image from the scene, with all its frames."""
    for node in (nodes.browser, nodes.sequence, nodes.volume):
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)


def _add_cine(volume: Volume, kind: str, name: str) -> Any:
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} sequence")
    sequence.SetIndexName("frame")
    sequence.SetIndexUnit("")
    sequence.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
    frame = scene.CreateNodeByClass(kind)
    frame.UnRegister(None)
    frame.SetName(name)
    for number, data in enumerate(volume.data):
        _write(frame, data, volume)
        sequence.SetDataNodeAtValue(frame, str(number))  # stores a copy
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.SetOverwriteProxyName(sequence, False)
    browser.SetSelectedItemNumber(0)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    node = browser.GetProxyNode(sequence)
    node.SetName(name)
    return node


def _write(node: Any, data: NDArray[np.generic], volume: Volume) -> None:
    node.SetIJKToRASMatrix(matrix_of(volume.geometry.affine_ras()))
    slicer.util.updateVolumeFromArray(node, data)
